package transaction

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestRefused commits transactions that can't be. Each says why, and leaves the chain, the pins
// and the kernel as they were.
func TestRefused(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	pass := fixture("verdicts", "v_pass")
	chain := commit(t, v.Name, dispatcher.Transaction{Add: slices.Repeat([]xdp.Program{pass}, 9)}).Chain
	id := chain.Programs[3].ID
	pinning := fixture("pinned", "refused")
	pinning.PinPath = "/sys/fs/bpf/refused"
	notThere := fixture("verdicts", "v_nothing")
	replace := func(p xdp.Program) dispatcher.Transaction {
		return dispatcher.Transaction{Mode: xdp.ModeUnspecified, Replace: []dispatcher.Replacement{{ID: id, Program: p}}}
	}
	for _, c := range []struct {
		name string
		tx   dispatcher.Transaction
		kind error
		msg  string
	}{
		{"unknown id", dispatcher.Transaction{Remove: []uint32{999999}}, xdp.ErrNoProgram, "program 999999 is not loaded on " + v.Name},
		{"id 0", dispatcher.Transaction{Remove: []uint32{0}}, xdp.ErrNoProgram, "program 0 is not loaded on " + v.Name},
		{"the dispatcher", dispatcher.Transaction{Remove: []uint32{chain.Dispatcher.ID}}, xdp.ErrNoProgram, "is the dispatcher of"},
		{"one program twice", dispatcher.Transaction{Remove: []uint32{id}, Set: []dispatcher.Setting{{ID: id}}}, xdp.ErrInvalid, "named twice"},
		{"eleven programs", dispatcher.Transaction{Add: []xdp.Program{pass, pass}}, xdp.ErrChainFull, v.Name + " has 9 programs loaded, 2 more would pass the limit of 10"},
		{"another mode", dispatcher.Transaction{Mode: xdp.ModeSKB, Add: []xdp.Program{pass}}, xdp.ErrModeMismatch, "attached in native mode"},
		{"hw mode", dispatcher.Transaction{Mode: xdp.ModeHW, Add: []xdp.Program{pass}}, xdp.ErrInvalid, "hw mode"},
		{"refused by the verifier", replace(pinning), xdp.ErrVerifier, `the verifier refused program "refused"`},
		{"no such program", replace(notThere), xdp.ErrObject, `has no program "v_nothing"`},
		{"no such map", replace(xdp.Program{File: pass.File, Name: pass.Name, MapSizes: map[string]uint32{"nothing": 1}}), xdp.ErrInvalid, `has no map "nothing"`},
		{"a good one and a bad one", dispatcher.Transaction{Remove: []uint32{id}, Add: []xdp.Program{pass, pinning}}, xdp.ErrVerifier, "refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := harness.Snapshot(t)
			_, err := c.tx.Commit(t.Context(), v.Name)
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.msg) {
				t.Errorf("error: %v, want kind %q and text %q", err, c.kind, c.msg)
			}
			before.Check(t)
		})
	}
	unload(t, v.Name)
}

// TestBeforeSwap: BeforeSwap gets the programs once they are loaded, on one interface and on
// several. If it returns an error, the chain stays as it was.
func TestBeforeSwap(t *testing.T) {
	harness.NoLeak(t)
	v, other := harness.NewVeth(t), harness.NewVeth(t)
	old := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("verdicts", "v_pass")}}).Added[0].ID
	before := harness.Snapshot(t)
	no := errors.New("no")
	var told []dispatcher.Coming
	refuse := func(coming []dispatcher.Coming) error {
		told = coming
		return no
	}
	tx := dispatcher.Transaction{BeforeSwap: refuse, Add: []xdp.Program{fixture("verdicts", "v_drop")},
		Replace: []dispatcher.Replacement{{ID: old, Program: fixture("flood", "guard")}}}
	if _, err := tx.Commit(t.Context(), v.Name); !errors.Is(err, no) {
		t.Errorf("error: %v", err)
	}
	if len(told) != 2 || told[0].Name != "v_drop" || told[0].Old != 0 || told[0].ID == 0 || told[1].Name != "guard" || told[1].Old != old || len(told[1].Program.Data) == 0 {
		t.Errorf("told: %+v", told)
	}
	told = nil
	_, err := dispatcher.AttachAll(t.Context(), []string{v.Name, other.Name}, tx.Add, dispatcher.AttachAllOptions{AttachOptions: dispatcher.AttachOptions{BeforeSwap: refuse}})
	if !errors.Is(err, no) || len(told) != 1 || told[0].Name != "v_drop" {
		t.Errorf("on two interfaces: told %+v, error: %v", told, err)
	}
	before.Check(t)
	unload(t, v.Name)
}

// TestProgramFromMemory loads an object from its bytes, with maps of other sizes.
func TestProgramFromMemory(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	defer unload(t, v.Name)
	data, err := os.ReadFile(harness.Fixture("maps"))
	if err != nil {
		t.Fatal(err)
	}
	program := xdp.Program{File: "not there.o", Data: data, MapSizes: map[string]uint32{"an_array": 7}}
	id := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{program}}).Added[0].ID
	for name, want := range map[string]int{"an_array": 7, "a_hash": 100} {
		m, err := maps.Open(id, name)
		if err != nil {
			t.Fatal(err)
		}
		if m.MaxEntries != want {
			t.Errorf("%s has %d entries, want %d", name, m.MaxEntries, want)
		}
		m.Close()
	}
}

// TestKeepMaps replaces a program by one that goes on with its maps.
func TestKeepMaps(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	guard := fixture("flood", "guard")
	id := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{guard}}).Added[0].ID
	v.Deliver(t, padded(frame(marked)), padded(frame(marked)))
	stdout := harness.MustRun(t, harness.Xdpmux(), "replace", v.Name, "--name", "guard", "--keep-maps", guard.File, "-n", "guard")
	if want := "maps kept: guard_packets\nmaps new:  front_packets, behind_packets\n"; stdout != want {
		t.Errorf("output: %q, want %q", stdout, want)
	}
	p := status(t, v.Name).Programs[0]
	if p.ID == id {
		t.Error("the program was not replaced")
	}
	v.Deliver(t, padded(frame(marked)))
	if got := harness.Counters(t, p.ID); got[1] != 3 {
		t.Errorf("counted %d packets over both programs, want 3", got[1])
	}
	harness.MustRun(t, harness.Xdpmux(), "replace", v.Name, "-i", fmt.Sprint(p.ID), guard.File, "-n", "guard")
	if got := harness.Counters(t, status(t, v.Name).Programs[0].ID); got[1] != 0 {
		t.Errorf("new maps hold %d packets", got[1])
	}

	before := status(t, v.Name)
	_, stderr, exit := harness.Run(t, harness.Xdpmux(), "replace", v.Name, "--name", "guard", "--keep-maps", fixture("otherlayout", "").File)
	want := "map guard_packets can't be kept: program "
	if exit != 1 || !strings.Contains(stderr, want) || !strings.Contains(stderr, "values of 4 bytes") {
		t.Errorf("exit status %d, %q, want %q", exit, stderr, want)
	}
	if diff := cmp.Diff(before, status(t, v.Name)); diff != "" {
		t.Errorf("the chain has changed (-before +after):\n%s", diff)
	}
	checkPins(t, v)
	unload(t, v.Name)
}

// TestKeepGlobals replaces a program by one of another file that goes on with its
// global variables, and has constants of its own.
func TestKeepGlobals(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	globals := fixture("globals", "")
	id := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{globals}}).Added[0].ID
	v.Deliver(t, padded(frame(plain)), padded(frame(plain)))
	next := harness.EditSection(t, globals.File, ".rodata", func(b []byte) { b[0] = 10 }) // unit
	next = harness.EditSection(t, next, ".data", func(b []byte) { b[0] = 7 })             // step, which is not to count
	stdout := harness.MustRun(t, harness.Xdpmux(), "replace", v.Name, "--name", "globals", "--keep-maps", next)
	if want := "maps kept: .data, .bss\nmaps new:  .rodata\n"; stdout != want {
		t.Errorf("output: %q, want %q", stdout, want)
	}
	v.Deliver(t, padded(frame(plain)))
	p := status(t, v.Name).Programs[0]
	if p.ID == id {
		t.Error("the program was not replaced")
	}
	m, err := maps.Open(p.ID, "globals.bss")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	got, err := maps.Lookup[[3]uint64](m, uint32(0))
	if want := [3]uint64{1 + 1 + 10, 3 * 60, 60}; err != nil || got[0] != want {
		t.Errorf("packets, bytes, last: %v, want %v, %v", got, want, err)
	}

	before := harness.Snapshot(t)
	_, stderr, exit := harness.Run(t, harness.Xdpmux(), "replace", v.Name, "--name", "globals", "--keep-maps", fixture("globals_other", "").File)
	want := fmt.Sprintf("xdpmux: the global variables in .bss can't be kept: total.packets of program %d (globals) is not as in ", p.ID)
	if exit != 1 || !strings.HasPrefix(stderr, want) || !strings.Contains(stderr, "a section such as .bss.new, or replace without keeping maps") {
		t.Errorf("exit status %d, %q, want %q", exit, stderr, want)
	}
	before.Check(t)
	unload(t, v.Name)
}

// TestSet changes settings from the command line, where 0 is a priority.
func TestSet(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("verdicts", "v_pass"), fixture("verdicts", "v_drop"), fixture("verdicts", "v_drop")}})
	harness.MustRun(t, harness.Xdpmux(), "set", v.Name, "--name", "v_pass", "-P", "0", "-A", "XDP_DROP,XDP_TX")
	first := status(t, v.Name).Programs[0]
	if first.Name != "v_pass" || first.Priority != 0 || first.Actions != *actions(xdp.Drop, xdp.TX) {
		t.Errorf("first program: %+v", first)
	}
	bothShow(t, v.Name)
	checkPins(t, v)
	there := status(t, v.Name).Programs
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--name", "v_drop", "-P", "1"}, fmt.Sprintf("2 programs on %s are called v_drop\n  name one by its id: %d (v_drop), %d (v_drop)", v.Name, there[1].ID, there[2].ID)},
		{[]string{"--name", "nothing", "-P", "1"}, "no program nothing in the chain on " + v.Name},
		{[]string{"-i", "999999", "-P", "1"}, "program 999999 is not loaded on " + v.Name},
		{[]string{"-i", "x", "-P", "1"}, `"x" is not a program's id`},
		{[]string{"--name", "v_pass"}, "set needs a priority or actions"},
		{[]string{"-P", "1"}, "either an id or a name says which program is meant"},
	} {
		before := harness.Snapshot(t)
		_, stderr, exit := harness.Run(t, harness.Xdpmux(), append([]string{"set", v.Name}, c.args...)...)
		if exit != 1 || !strings.Contains(stderr, "xdpmux: "+c.want+"\n") {
			t.Errorf("set %q: exit status %d, %q, want %q", c.args, exit, stderr, c.want)
		}
		before.Check(t)
	}
	unload(t, v.Name)
}

// TestFrags takes frags support from a program and gives it back. The dispatcher has it if all
// programs do.
func TestFrags(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	done := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("verdicts", "v_pass_frags")}})
	id := done.Added[0].ID
	if !done.Chain.Frags {
		t.Error("no frags support with a program that has it")
	}
	for _, on := range []bool{false, true} {
		done := commit(t, v.Name, dispatcher.Transaction{Mode: xdp.ModeUnspecified, Set: []dispatcher.Setting{{ID: id, Frags: &on}}})
		if done.Chain.Frags != on || status(t, v.Name).Frags != on {
			t.Errorf("frags: %v, want %v", done.Chain.Frags, on)
		}
	}
	if done := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("verdicts", "v_pass")}}); done.Chain.Frags {
		t.Error("frags support with a program that hasn't it")
	}
	unload(t, v.Name)
}

// TestCleanProbe removes a pin that a killed check of the kernel leaves.
func TestCleanProbe(t *testing.T) {
	harness.NoLeak(t)
	m, err := libbpf.CreateMap(libbpf.MapTypeArray, "probe", 4, 4, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	v := harness.NewVeth(t)
	commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("verdicts", "v_pass")}})
	pin := filepath.Join("/sys/fs/bpf/xdp", "prog-test-link-1-99")
	if err := libbpf.ObjPin(m.Int(), pin); err != nil {
		t.Fatal(err)
	}
	harness.MustRun(t, harness.Xdpmux(), "clean")
	if _, err := os.Stat(pin); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", pin, err)
	}
	checkPins(t, v)
	unload(t, v.Name)
}

// TestLink takes a running program into the chain of another interface, at a place of its own
// there, and refuses what can't join.
func TestLink(t *testing.T) {
	harness.NoLeak(t)
	v, w := harness.NewVeth(t), harness.NewVeth(t)
	shared := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("verdicts", "v_pass"), fixture("verdicts", "v_drop")}}).Added[0]
	link := dispatcher.Setting{ID: shared.ID, Priority: prio(7), Actions: actions(xdp.Pass, xdp.Drop)}
	done := commit(t, w.Name, dispatcher.Transaction{Link: []dispatcher.Setting{link}, Add: []xdp.Program{fixture("verdicts", "v_tx")}})
	if p := done.Chain.Programs[0]; len(done.Chain.Programs) != 2 || p.ID != shared.ID || p.Priority != 7 || p.Actions != *link.Actions {
		t.Errorf("%+v", done.Chain.Programs)
	}
	for _, c := range []struct {
		id   uint32
		kind error
	}{{shared.ID, xdp.ErrInvalid}, {4294967295, xdp.ErrNoProgram}, {done.Chain.Dispatcher.ID, xdp.ErrInvalid}} {
		before := status(t, w.Name)
		_, err := dispatcher.Transaction{Link: []dispatcher.Setting{{ID: c.id}}}.Commit(t.Context(), w.Name)
		if !errors.Is(err, c.kind) || cmp.Diff(before, status(t, w.Name)) != "" {
			t.Errorf("program %d: %v", c.id, err)
		}
	}
	unload(t, v.Name)
	if now := status(t, w.Name); now.Programs[0].ID != shared.ID {
		t.Errorf("%+v", now.Programs)
	}
	checkPins(t, w)
	bothShow(t, w.Name)
	unload(t, w.Name)
}
