package transaction

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// calling is a packet for tailcall.bpf.c: it calls that slot, and what it calls there may call
// the second.
func calling(slot, next byte) []byte {
	f := padded(frame(plain))
	f[0], f[1] = slot, next
	return f
}

const callPass, callDrop, callAgain, callEmpty = 0, 1, 4, 3

// checkCalls fails the test unless the programs decide that the array calls. Each packet calls
// another one: without the arrays, all would be dropped.
func checkCalls(t *testing.T, v *harness.Veth) {
	t.Helper()
	pass, again := calling(callPass, 9), calling(callAgain, callPass)
	passed := v.Deliver(t, pass, calling(callDrop, callPass), again, calling(callAgain, callDrop), calling(callEmpty, callPass))
	if !slices.EqualFunc(passed, [][]byte{pass, again}, slices.Equal) {
		t.Errorf("%d packets passed, want those two that are passed by a program which is called", len(passed))
	}
}

// callPins are the directories of pinned program arrays.
func callPins(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("/sys/fs/bpf/xdp/tailcalls-*")
	must(t, err)
	return all
}

// wantCallPins fails the test unless the arrays of exactly these programs are pinned.
func wantCallPins(t *testing.T, ids ...uint32) {
	t.Helper()
	want := []string{}
	for _, id := range ids {
		want = append(want, fmt.Sprintf("/sys/fs/bpf/xdp/tailcalls-%d", id))
	}
	slices.Sort(want)
	if got := callPins(t); !slices.Equal(got, want) {
		t.Errorf("pins %q, want %q", got, want)
	}
}

// TestTailCalls loads programs that call others by a program array, in chains of one, two and
// ten. The command that has loaded them has ended when the packets come.
func TestTailCalls(t *testing.T) {
	object, pass := harness.Fixture("tailcall"), harness.Sample("xdp_pass")
	for _, mode := range []string{"native", "skb"} {
		for _, n := range []int{1, 2, 10} {
			t.Run(fmt.Sprintf("%s/%d", mode, n), func(t *testing.T) {
				harness.NoLeak(t)
				v := harness.NewVeth(t)
				harness.MustRun(t, harness.Xdpmux(), append([]string{"load", "-m", mode, v.Name, object}, slices.Repeat([]string{pass}, n-1)...)...)
				chain := status(t, v.Name)
				if len(chain.Programs) != n || !slices.Contains(names(chain), "t_entry") {
					t.Fatalf("chain: %q", names(chain))
				}
				checkCalls(t, v)
				wantCallPins(t, find(t, chain, "t_entry"))
				harness.MustRun(t, harness.Xdpmux(), "unload", v.Name, "-a")
				wantCallPins(t)
			})
		}
	}
	t.Run("ten that call", func(t *testing.T) {
		harness.NoLeak(t)
		v := harness.NewVeth(t)
		harness.MustRun(t, harness.Xdpmux(), append([]string{"load", v.Name}, slices.Repeat([]string{object}, 10)...)...)
		checkCalls(t, v)
		if got := callPins(t); len(got) != 10 {
			t.Errorf("pins: %q", got)
		}
		harness.MustRun(t, harness.Xdpmux(), "unload", v.Name, "-a")
		wantCallPins(t)
	})
}

// TestTailCallsShareMaps has the programs that are called use the maps, variables and constants
// of the one that calls them.
func TestTailCallsShareMaps(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	p := fixture("tailcall", "")
	p.Variables = map[string]any{"t_offset": 1}
	p.PinPath = "/sys/fs/bpf/tailcall"
	commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{p}})
	v.Deliver(t, calling(callDrop, callPass), calling(callDrop, callAgain))
	called, err := maps.Open(status(t, v.Name).Programs[0].ID, "called")
	must(t, err)
	defer called.Close()
	var counted []uint64
	for slot := range uint32(6) {
		n, err := maps.Lookup[uint64](called, slot)
		must(t, err)
		counted = append(counted, n...)
	}
	// t_again calls by the second byte, which is its own slot, until the kernel has enough.
	const limit = 33 // MAX_TAIL_CALL_CNT
	if want := []uint64{1, 0, 0, 0, limit, 2}; !slices.Equal(counted, want) {
		t.Errorf("called %v, want %v", counted, want)
	}
	unload(t, v.Name)
}

// TestTailCallSample sends packets whose hops are used up, and others.
func TestTailCallSample(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	harness.MustRun(t, harness.Xdpmux(), "load", v.Name, harness.Sample("xdp_tailcall"))
	v4, v6 := harness.UDP4(harness.Flow{}), harness.UDP6(harness.Flow{})
	old4, old6 := slices.Clone(v4), slices.Clone(v6)
	old4[14+8], old6[14+7] = 1, 1
	passed := v.Deliver(t, old4, v4, old6, v6, harness.ARP(harness.Flow{}))
	if !slices.EqualFunc(passed, [][]byte{v4, v6, harness.ARP(harness.Flow{})}, slices.Equal) {
		t.Errorf("%d packets passed, want those with hops left", len(passed))
	}
	harness.MustRun(t, harness.Xdpmux(), "unload", v.Name, "-a")
}

// TestTailCallsOfOthers has slots filled that the object leaves empty, and one with another program
// than the object puts there. The program of another object goes on by the same array.
func TestTailCallsOfOthers(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	const callOther = 3
	p := fixture("tailcall", "")
	p.TailCalls = []xdp.TailCall{
		{Map: "calls", Slot: callOther, File: harness.Fixture("tailcall_other")},
		{Map: "calls", Slot: callPass, Name: "t_drop"},
		{Map: "calls", Slot: 5, Name: "t_pass"},
	}
	commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{p}})
	passes, passesToo := calling(callOther, 5), calling(callAgain, 5)
	passed := v.Deliver(t, passes, calling(callOther, callDrop), calling(callOther, callPass), calling(callPass, 0), passesToo)
	if !slices.EqualFunc(passed, [][]byte{passes, passesToo}, slices.Equal) {
		t.Errorf("%d packets passed, want the two that slot 5 passes", len(passed))
	}
	called, err := maps.Open(status(t, v.Name).Programs[0].ID, "called")
	must(t, err)
	defer called.Close()
	if n, err := maps.Lookup[uint64](called, uint32(callOther)); err != nil || n[0] != 3 {
		t.Errorf("t_other has counted %v (%v), want 3", n, err)
	}
	unload(t, v.Name)
	wantCallPins(t)
}

// TestTailCallsRefused asks for calls that can't be: nothing of them is left.
func TestTailCallsRefused(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	for _, c := range []struct {
		call xdp.TailCall
		kind error
		says string
	}{
		{xdp.TailCall{Map: "nonesuch", Name: "t_pass"}, xdp.ErrInvalid, `has no program array "nonesuch"`},
		{xdp.TailCall{Map: "called", Name: "t_pass"}, xdp.ErrInvalid, `has no program array "called"`},
		{xdp.TailCall{Map: "calls", Slot: 6, Name: "t_pass"}, xdp.ErrMapSize, `has 6 entries, and slot 6 is to call "t_pass"`},
		{xdp.TailCall{Map: "calls", Slot: 3, Name: "nonesuch"}, xdp.ErrObject, `is to call "nonesuch", and the file has no such program`},
		{xdp.TailCall{Map: "calls", Slot: 3, File: "nonesuch.o"}, xdp.ErrObject, "can't open nonesuch.o"},
		{xdp.TailCall{Map: "calls", Slot: 3, File: harness.Fixture("pinned"), Name: "refused"}, xdp.ErrVerifier, `the verifier refused program "refused" of `},
		{xdp.TailCall{Map: "calls", Slot: 3, File: harness.Fixture("calls")}, xdp.ErrObject, `map "calls" of ` + harness.Fixture("calls") + " is prog_array"},
	} {
		before := harness.Snapshot(t)
		p := fixture("tailcall", "")
		p.TailCalls = []xdp.TailCall{c.call}
		_, err := dispatcher.Transaction{Add: []xdp.Program{p}}.Commit(t.Context(), v.Name)
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c.call, err)
		}
		before.Check(t)
	}
}

// TestTailCallsStay has programs be called through every change of the chain that theirs stays
// in, whoever makes it, and their arrays go with it.
func TestTailCallsStay(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	object, verdicts := harness.Fixture("tailcall"), harness.Fixture("verdicts")
	run := func(args ...string) {
		t.Helper()
		harness.MustRun(t, harness.Xdpmux(), args...)
	}
	run("load", v.Name, object)
	entry := find(t, status(t, v.Name), "t_entry")
	joins := func() bool {
		_, stderr, exit := harness.Run(t, native, "load", v.Name, verdicts, "-n", "v_pass")
		if exit != 0 {
			t.Logf("%s could not join: %s", native, strings.TrimSpace(stderr))
		}
		return exit == 0
	}
	steps := []struct {
		name string
		do   func()
	}{
		{"another joins", func() { run("load", v.Name, verdicts, "-n", "v_pass") }},
		{"set", func() { run("set", v.Name, "--name", "t_entry", "-P", "70", "--actions", "XDP_PASS,XDP_TX") }},
		{"another is replaced", func() { run("replace", v.Name, "--name", "v_pass", harness.Sample("xdp_pass")) }},
		{"upgrade", func() { run("upgrade", v.Name, "--to", fmt.Sprint(5-status(t, v.Name).Version)) }},
		{"back", func() { run("upgrade", v.Name, "--to", fmt.Sprint(5-status(t, v.Name).Version)) }},
		{"both tools clean", func() { run("clean"); harness.MustRun(t, native, "clean") }},
		{"another leaves", func() { run("unload", v.Name, "-i", fmt.Sprint(find(t, status(t, v.Name), "xdp_pass"))) }},
		{"a native tool joins and leaves", func() {
			if joins() {
				checkCalls(t, v)
				harness.MustRun(t, native, "unload", v.Name, "-i", fmt.Sprint(find(t, status(t, v.Name), "v_pass")))
			}
		}},
	}
	for _, s := range steps {
		s.do()
		if got := find(t, status(t, v.Name), "t_entry"); got != entry {
			t.Fatalf("%s: program %d, was %d", s.name, got, entry)
		}
		checkCalls(t, v)
		wantCallPins(t, entry)
	}

	// What comes in its place has arrays of its own.
	run("replace", "--keep-maps", v.Name, "--name", "t_entry", object)
	next := find(t, status(t, v.Name), "t_entry")
	checkCalls(t, v)
	wantCallPins(t, next)
	run("replace", v.Name, "--name", "t_entry", harness.Sample("xdp_pass"))
	wantCallPins(t)

	// A native tool takes it out, and leaves its arrays, which don't belong to a chain.
	run("load", v.Name, object)
	left := find(t, status(t, v.Name), "t_entry")
	harness.MustRun(t, native, "unload", v.Name, "-a")
	wantCallPins(t, left)
	harness.MustRun(t, native, "clean")
	wantCallPins(t, left)
	run("clean")
	wantCallPins(t)
}

// TestTailCallsAlone has a program with an array run without a dispatcher, and be adopted. As a
// component program it has an array of its own, as the kernel lets the two not share one.
func TestTailCallsAlone(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	object := harness.Fixture("tailcall")
	alone := func(args ...string) {
		t.Helper()
		if _, stderr, exit := harness.RunEnv(t, []string{"LIBXDP_SKIP_DISPATCHER=1"}, harness.Xdpmux(), args...); exit != 0 {
			t.Fatalf("%q: exit status %d\n%s", args, exit, stderr)
		}
		checkCalls(t, v)
		wantCallPins(t, status(t, v.Name).Legacy.ID)
		if stdout := harness.MustRun(t, harness.Xdpmux(), "status", "--json", v.Name); strings.Count(stdout, `"map": "calls"`) != 4 {
			t.Errorf("want 4 programs that it calls:\n%s", stdout)
		}
	}
	for _, mode := range []string{"native", "skb"} {
		alone("load", "-m", mode, v.Name, object)
		harness.MustRun(t, harness.Xdpmux(), "clean")
		wantCallPins(t, status(t, v.Name).Legacy.ID)
		checkCalls(t, v)
		unload(t, v.Name)
		wantCallPins(t)
	}
	alone("load", v.Name, object, "-n", "t_entry_frags")
	harness.MustRun(t, harness.Xdpmux(), "load", v.Name, "--adopt", object, "-n", "t_entry_frags")
	checkCalls(t, v)
	wantCallPins(t, find(t, status(t, v.Name), "t_entry_frags"))
	unload(t, v.Name)
	wantCallPins(t)
}

// TestTailCallsFrags has a chain take packets of several buffers: who is called doesn't say so,
// as the one that calls does.
func TestTailCallsFrags(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	v.SetMTU(t, 9000)
	commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("tailcall", "t_entry_frags")}})
	large := func(slot byte) []byte { return append(calling(slot, callPass), make([]byte, 8000)...) }
	if passed := v.Deliver(t, large(callPass), large(callDrop), large(callAgain)); len(passed) != 2 {
		t.Errorf("%d of three large packets passed, want two", len(passed))
	}
	unload(t, v.Name)
}

// TestTailCallsShared has a program with arrays run on several interfaces: they stay until it
// has left the last one.
func TestTailCallsShared(t *testing.T) {
	harness.NoLeak(t)
	a, b := harness.NewVeth(t), harness.NewVeth(t)
	p := []xdp.Program{fixture("tailcall", "")}
	done, err := dispatcher.AttachAll(t.Context(), []string{a.Name, b.Name}, p, dispatcher.AttachAllOptions{})
	must(t, err)
	id := done[0].Programs[0].ID
	wantCallPins(t, id)
	unload(t, a.Name)
	wantCallPins(t, id)
	checkCalls(t, b)
	harness.MustRun(t, harness.Xdpmux(), "clean")
	wantCallPins(t, id)
	checkCalls(t, b)

	// A load that the last interface refuses leaves nothing of its own.
	before := harness.Snapshot(t)
	refuses := harness.NewVeth(t)
	refuses.SetMTU(t, 9000)
	if _, err := dispatcher.AttachAll(t.Context(), []string{a.Name, b.Name, refuses.Name}, p, dispatcher.AttachAllOptions{}); err == nil {
		t.Error("it was not refused")
	}
	refuses.Close(t)
	before.Check(t)
	checkCalls(t, b)
	unload(t, b.Name)
	wantCallPins(t)
}

// TestTailCallsKilled kills a replacement when its arrays are pinned and the swap is next, when
// that is made, and at random moments. What is left of arrays, clean takes, and nothing else.
func TestTailCallsKilled(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	harness.MustRun(t, harness.Xdpmux(), "load", v.Name, harness.Fixture("tailcall"))
	change := []string{harness.Xdpmux(), "replace", v.Name, "--name", "t_entry", harness.Fixture("tailcall")}
	// The swap is the first message behind the directory for the arrays, and the pins of the old
	// chain are the first that go. Each is held up for longer than it takes to kill the process.
	for call, c := range map[string]struct {
		at      string
		changed bool
	}{
		"sendto":   {`(?s)"tailcalls-.*\n([0-9]+) +sendto\(`, false},
		"unlinkat": {`\n([0-9]+) +unlinkat\([0-9]+, "prog0-`, true},
	} {
		before := status(t, v.Name)
		p, trace := harness.StartStraced(t, []string{"-e", "trace=mkdirat," + call, "-e", "inject=" + call + ":delay_enter=500ms"}, change...)
		at := regexp.MustCompile(c.at)
		trace.Until(t, at.MatchString)
		process, err := strconv.Atoi(at.FindStringSubmatch(trace.String())[1])
		must(t, err)
		must(t, unix.Kill(process, unix.SIGKILL))
		p.Wait(t)
		now := status(t, v.Name).Programs[0].ID
		if got := len(callPins(t)); got != 2 || (now != before.Programs[0].ID) != c.changed {
			t.Errorf("%s: pins of %d programs, and program %d in place of %d; want pins of 2, and a change: %t", call, got, now, before.Programs[0].ID, c.changed)
		}
		checkCalls(t, v)
		harness.MustRun(t, harness.Xdpmux(), "clean")
		wantCallPins(t, now)
		checkCalls(t, v)
		checkPins(t, v)
	}

	chance, start := harness.Chance(t), time.Now()
	harness.MustRun(t, change[0], change[1:]...)
	whole := time.Since(start)
	outcomes := map[string]int{}
	for range harness.Scaled(100, 6) {
		before := status(t, v.Name).Programs[0].ID
		p := harness.Start(t, change[0], change[1:]...)
		time.Sleep(time.Duration(chance.Int64N(int64(whole)))) // the moment, not a wait
		p.Signal(t, os.Kill)
		p.Wait(t)
		after := status(t, v.Name).Programs[0].ID
		outcomes[fmt.Sprintf("changed: %t, pins: %d", before != after, len(callPins(t)))]++
		checkCalls(t, v)
		harness.MustRun(t, harness.Xdpmux(), "clean")
		wantCallPins(t, after)
		checkCalls(t, v)
	}
	t.Logf("a change takes %v: %v", whole, outcomes)
	unload(t, v.Name)
}
