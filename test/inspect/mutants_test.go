package inspect

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/test/kernel"
	"github.com/xdpmux/xdpmux/test/mutant"
)

// TestMutants loads damaged objects: none makes the command crash, each is loaded or
// refused by its name, and inspect has said which, as far as a file tells. More of them
// are read, without a kernel, by TestMutants of package dispatcher.
func TestMutants(t *testing.T) {
	kernel.NoLeak(t)
	v := kernel.NewVeth(t)
	originals, err := mutant.Read("../../build/bpf", "../../build/bpf/fixtures")
	if err != nil {
		t.Fatal(err)
	}
	seed := kernel.Chance(t).Uint64()
	n := 150
	if text := os.Getenv("XDPMUX_TEST_MUTANTS"); text != "" {
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	loaded, refused := 0, 0
	for i := range n {
		m := mutant.Make(originals, seed, i)
		file := filepath.Join(t.TempDir(), "mutant.o")
		if err := os.WriteFile(file, m.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		object, err := dispatcher.Inspect(file)
		if err != nil {
			refused++
			if !errors.Is(err, dispatcher.ErrObject) || !strings.Contains(err.Error(), file) {
				t.Errorf("%v: %v", m, err)
			}
			continue
		}
		if !loadMutant(t, v, object) {
			t.Errorf("%v: see above", m)
		}
		loaded++
		os.Remove(file)
	}
	t.Logf("of %d mutants of seed %d, %d were read, %d refused", n, seed, loaded, refused)
}

// loadMutant compares what inspect says of an object's programs with their load. A
// kernel may refuse a damaged program for reasons that no file shows.
func loadMutant(t *testing.T, v *kernel.Veth, o *dispatcher.Object) bool {
	t.Helper()
	for _, p := range o.Programs[:min(len(o.Programs), 3)] {
		stdout, stderr, status := kernel.Run(t, kernel.Xdpmux(), "load", "--require-dispatcher", "-n", p.Name, v.Name, o.File)
		switch {
		case status == 0 && !p.Chain:
			t.Errorf("%s: inspect says no (%s), and it loads", p.Name, p.Note)
		case status == 0:
			check(t, v, p)
		case status != 1 || !strings.HasPrefix(stderr, "xdpmux: ") || !strings.Contains(stderr, o.File):
			t.Errorf("%s: exit status %d\n%s%s", p.Name, status, stdout, stderr)
		}
		if status == 0 {
			kernel.MustRun(t, kernel.Xdpmux(), "unload", "-a", v.Name)
		}
	}
	return !t.Failed()
}
