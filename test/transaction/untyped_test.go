package transaction

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// untyped are programs of whose functions the object doesn't say what the kernel wants to
// know: it has no type information at all, none of functions, or calls the context or the
// result something else.
var untyped = []xdp.Program{
	fixture("nobtf", "nobtf"), fixture("nobtf_calls", "nobtf_calls"), fixture("nobtf_calls", "nobtf_other"),
	fixture("noext", "nobtf_calls"), fixture("noext", "nobtf_other"),
	fixture("inspect", "returns_enum"), fixture("inspect", "takes_void"), fixture("inspect", "returns_long"),
}

// TestUntyped has each such program be the first of a chain, the second, and the tenth, and
// take part in every kind of change there. The native tools list the chain, join and leave it,
// and clear it.
func TestUntyped(t *testing.T) {
	for _, p := range untyped {
		t.Run(fmt.Sprintf("%s/%s", filepath.Base(p.File), p.Name), func(t *testing.T) {
			harness.NoLeak(t)
			v := harness.NewVeth(t)
			done, err := dispatcher.Attach(t.Context(), v.Name, []xdp.Program{p}, dispatcher.AttachOptions{RequireDispatcher: true})
			if err != nil {
				t.Fatal(err)
			}
			if done.Programs[0].Name != p.Name {
				t.Errorf("it is called %s", done.Programs[0].Name)
			}
			first := done.Programs[0].ID
			bothShow(t, v.Name)
			harness.MustRun(t, native, "load", v.Name, harness.Sample("xdp_pass"))
			bothShow(t, v.Name)
			if passed := v.Deliver(t, padded(frame(plain))); len(passed) != 1 {
				t.Errorf("%d packets passed", len(passed))
			}
			p.Priority = prio(60)
			second := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{p}}).Added[0].ID
			commit(t, v.Name, dispatcher.Transaction{Set: []dispatcher.Setting{{ID: first, Priority: prio(80)}}})
			commit(t, v.Name, dispatcher.Transaction{Version: 3})
			commit(t, v.Name, dispatcher.Transaction{Version: 2})
			replaced := commit(t, v.Name, dispatcher.Transaction{Replace: []dispatcher.Replacement{{ID: second, Program: p, KeepMaps: true}}}).Replaced[0]
			if want := keeps(p); !slices.Equal(replaced.KeptMaps, want) {
				t.Errorf("kept %q, want %q", replaced.KeptMaps, want)
			}
			var more []xdp.Program
			for len(status(t, v.Name).Programs)+len(more) < xdp.MaxPrograms {
				more = append(more, p)
			}
			commit(t, v.Name, dispatcher.Transaction{Add: more})
			if passed := v.Deliver(t, padded(frame(plain))); len(passed) != 1 {
				t.Errorf("%d packets passed ten programs", len(passed))
			}
			harness.MustRun(t, native, "unload", v.Name, "-i", fmt.Sprint(first))
			bothShow(t, v.Name)
			if passed := v.Deliver(t, padded(frame(plain))); len(passed) != 1 {
				t.Errorf("%d packets passed nine programs", len(passed))
			}
			harness.MustRun(t, native, "unload", "-a", v.Name)
		})
	}
}

// keeps are the maps that the program uses, but for its constants.
func keeps(p xdp.Program) []string {
	return map[string][]string{"nobtf_calls": {".data", ".bss"}, "nobtf_other": {".bss"}}[p.Name]
}

// TestUntypedVariables: what is known of global variables without type information is their
// names and sizes. They count, can be read, are set before the load, and are kept.
func TestUntypedVariables(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	p := fixture("nobtf_calls", "nobtf_calls")
	p.Variables = map[string]any{"step": 3, "unit": uint64(2), "label": "set before"}
	id := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{p}}).Added[0].ID
	v.Deliver(t, padded(frame(plain)), padded(frame(plain)))
	for section, want := range map[string]string{"nobtf_ca.bss": "0: {packets: 12, last_length: 60}\n", "nobtf_ca.data": "0: {step: 3}\n"} {
		if got := harness.MustRun(t, harness.Xdpmux(), "map", "dump", v.Name, section); got != want {
			t.Errorf("%s: %s\nwant: %s", section, got, want)
		}
	}
	harness.MustRun(t, harness.Xdpmux(), "replace", v.Name, "-i", fmt.Sprint(id), "--keep-maps", harness.Fixture("nobtf_calls"))
	v.Deliver(t, padded(frame(plain)))
	got := lookup[struct {
		Packets    uint64
		LastLength uint32
	}](t, status(t, v.Name).Programs[0].ID, "nobtf_ca.bss", 0)
	if want := uint64(15); got.Packets != want { // unit is 1 again
		t.Errorf("%d packets counted, want %d", got.Packets, want)
	}
	unload(t, v.Name)
}

// TestUntypedStaysKnown: the record of a program is of the file, not of the types that were
// made up. So export, plan and apply know it again, as they do a program of another tool by
// its tag.
func TestUntypedStaysKnown(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	for _, name := range []string{"nobtf", "noext"} {
		file := absolute(t, name)
		harness.MustRun(t, harness.Xdpmux(), "load", "--require-dispatcher", v.Name, file)
		state := filepath.Join(t.TempDir(), "state.yaml")
		exported := harness.MustRun(t, harness.Xdpmux(), "export", v.Name)
		must(t, os.WriteFile(state, []byte(exported), 0o600))
		harness.MustRun(t, harness.Xdpmux(), "apply", "-f", state) // it becomes the state's
		before := status(t, v.Name)
		if stdout, stderr, exit := harness.Run(t, harness.Xdpmux(), "plan", "-f", state); exit != 0 {
			t.Errorf("%s: plan: exit status %d\n%s%s", name, exit, stdout, stderr)
		}
		harness.MustRun(t, harness.Xdpmux(), "apply", "-f", state)
		if after := status(t, v.Name); after.Dispatcher.ID != before.Dispatcher.ID {
			t.Errorf("%s: a second apply makes a swap", name)
		}
		unload(t, v.Name)
		harness.MustRun(t, harness.Xdpmux(), "apply", "-f", state)
		if again := status(t, v.Name); again.Programs[0].Tag != before.Programs[0].Tag {
			t.Errorf("%s: tag %s, was %s", name, again.Programs[0].Tag, before.Programs[0].Tag)
		}
		unload(t, v.Name)
	}
}
