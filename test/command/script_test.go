package command

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestScripts runs testdata/script/*.txtar, each with a veth pair of its own, and
// holds that none leaves anything attached or pinned. $IF and $OTHER are the
// interfaces, $BPF the directory of the objects. The command nothing-left fails
// if there is more in the kernel and the bpffs than when the script began.
func TestScripts(t *testing.T) {
	bpf, err := filepath.Abs("../../build/bpf")
	if err != nil {
		t.Fatal(err)
	}
	testscript.RunT(serial{t}, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			tb := env.T().(testing.TB)
			harness.NoLeak(tb)
			v := harness.NewVeth(tb)
			env.Values["t"], env.Values["state"] = tb, harness.Snapshot(tb)
			env.Setenv("IF", v.Name)
			env.Setenv("OTHER", v.Peer)
			env.Setenv("BPF", bpf)
			env.Setenv("PATH", filepath.Dir(harness.Xdpmux())+":"+os.Getenv("PATH"))
			return makeBroken(filepath.Join(bpf, "xdp_pass.o"), env.WorkDir)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"nothing-left": func(ts *testscript.TestScript, _ bool, _ []string) {
				before := ts.Value("state").(harness.State)
				before.Check(ts.Value("t").(testing.TB))
			},
		},
	})
}

// serial runs scripts one after the other: what one leaves can't be told from
// what another is doing.
type serial struct{ *testing.T }

func (serial) Parallel()     {}
func (serial) Verbose() bool { return testing.Verbose() }
func (s serial) Run(name string, f func(testscript.T)) {
	s.T.Run(name, func(t *testing.T) { f(serial{t}) })
}

// makeBroken makes object files that can't be loaded out of one that can.
func makeBroken(object, dir string) error {
	whole, err := os.ReadFile(object)
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"empty.o":     nil,
		"text.o":      []byte("This is not an object.\n"),
		"truncated.o": whole[:len(whole)/2],
		"header.o":    whole[:100],
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
