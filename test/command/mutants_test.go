package command

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/inspect"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
	"github.com/xdpmux/xdpmux/test/mutant"
)

// TestInspectMutants loads damaged objects. None makes the command crash. Each is loaded, or
// refused by its name, and inspect has said which, as far as a file tells. TestMutants of
// package dispatcher reads more of them, without a kernel.
func TestInspectMutants(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	originals, err := mutant.Read("../../build/bpf", "../../build/bpf/fixtures")
	if err != nil {
		t.Fatal(err)
	}
	seed, n, err := mutant.Choice(harness.Scaled(150, 40))
	if err != nil {
		t.Fatal(err)
	}
	loaded, refused := 0, 0
	for i := range n {
		m := mutant.Make(originals, seed, i)
		file := filepath.Join(t.TempDir(), "mutant.o")
		if err := os.WriteFile(file, m.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		object, err := inspect.Open(file)
		if err != nil {
			refused++
			if !errors.Is(err, xdp.ErrObject) || !strings.Contains(err.Error(), file) {
				t.Errorf("%v: %v", m, err)
			}
			continue
		}
		loadMutant(t, m, v, object)
		loaded++
		os.Remove(file)
	}
	t.Logf("of %d mutants of seed %d, %d were read, %d refused", n, seed, loaded, refused)
}

// loadMutant compares what inspect says of an object's programs with their load. A
// kernel may refuse a damaged program for reasons that no file shows.
func loadMutant(t *testing.T, m mutant.Mutant, v *harness.Veth, o *inspect.Object) {
	t.Helper()
	for _, p := range o.Programs[:min(len(o.Programs), 3)] {
		stdout, stderr, status := harness.Run(t, harness.Xdpmux(), "load", "--require-dispatcher", "-n", p.Name, v.Name, o.File)
		switch {
		case status == 0 && !p.Chain:
			t.Errorf("%v: inspect says no of %s (%s), and it loads", m, p.Name, p.Note)
		case status == 0:
			check(t, v, p)
		case status != 1 || !strings.HasPrefix(stderr, "xdpmux: ") || !strings.Contains(stderr, o.File):
			t.Errorf("%v: %s: exit status %d\n%s%s", m, p.Name, status, stdout, stderr)
		}
		if status == 0 {
			harness.MustRun(t, harness.Xdpmux(), "unload", "-a", v.Name)
		}
	}
}
