package pending

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/test/harness"
)

// change is a command that changes a chain.
type change struct {
	name        string
	least, most int // programs that the chain can have before
	args        func(t *testing.T, v *harness.Veth, before *dispatcher.Chain) []string
}

var changes = []change{
	{"load", 0, 9, func(t *testing.T, v *harness.Veth, _ *dispatcher.Chain) []string {
		return []string{"load", v.Name, object(t), "-n", "v_drop"}
	}},
	{"unload one", 1, 10, func(_ *testing.T, v *harness.Veth, before *dispatcher.Chain) []string {
		return []string{"unload", v.Name, "-i", fmt.Sprint(before.Programs[0].ID)}
	}},
	{"unload all", 1, 10, func(_ *testing.T, v *harness.Veth, _ *dispatcher.Chain) []string {
		return []string{"unload", "-a", v.Name}
	}},
	{"replace", 1, 10, func(t *testing.T, v *harness.Veth, before *dispatcher.Chain) []string {
		return []string{"replace", v.Name, "-i", fmt.Sprint(before.Programs[0].ID), object(t), "-n", "v_drop"}
	}},
	{"set", 1, 10, func(_ *testing.T, v *harness.Veth, before *dispatcher.Chain) []string {
		return []string{"set", v.Name, "-i", fmt.Sprint(before.Programs[0].ID), "-P", "200", "-A", "DROP"}
	}},
	{"upgrade", 1, 10, func(_ *testing.T, v *harness.Veth, before *dispatcher.Chain) []string {
		return []string{"upgrade", v.Name, "--to", fmt.Sprint(5 - before.Version)}
	}},
	{"apply", 0, 9, func(t *testing.T, v *harness.Veth, _ *dispatcher.Chain) []string {
		return []string{"apply", "-f", stateFile(t, v, "v_drop", 5)}
	}},
}

// stateFile is a state with one program.
func stateFile(t *testing.T, v *harness.Veth, name string, priority int) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "state.yaml")
	text := fmt.Sprintf("interfaces: [{name: %s, programs: [{name: it, object: %s, program: %s, priority: %d}]}]\n", v.Name, object(t), name, priority)
	must(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// TestEnds makes each change of chains of none, one, two and ten programs, and ends it in each
// way. A change that is taken back leaves the very chain that was there: its dispatcher, its
// programs and their places.
func TestEnds(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	for _, c := range changes {
		for _, n := range []int{0, 1, 2, 10} {
			if n < c.least || n > c.most && c.name != "load" && c.name != "apply" {
				continue
			}
			n = min(n, c.most)
			ends := []string{"revert"}
			if n == 2 {
				ends = []string{"confirm", "revert", "time", "for good"}
			}
			for _, end := range ends {
				t.Run(fmt.Sprintf("%s/%d/%s", c.name, n, end), func(t *testing.T) {
					before := chain(t, v, n)
					limit := "600"
					switch end {
					case "time":
						limit = "1"
					case "for good":
						limit = "0"
					}
					said := run(t, 0, append(c.args(t, v, before), "--confirm", limit)...)
					if strings.Contains(said, "unless it is confirmed: xdpmux confirm "+v.Name) != (limit != "0") {
						t.Errorf("it says:\n%s", said)
					}
					changed := status(t, v.Name)
					want := changed
					if end == "revert" || end == "time" {
						want = before
					}
					switch end {
					case "time":
						if !harness.Eventually(func() bool { return status(t, v.Name).MainID() == before.MainID() && nothingPending(t) }) {
							t.Fatal("it isn't taken back")
						}
					default:
						if reflect.DeepEqual(before, changed) {
							t.Errorf("nothing was changed: %+v", changed)
						}
						if limit != "0" {
							run(t, 0, end, v.Name)
						}
					}
					if got := status(t, v.Name); !reflect.DeepEqual(got, want) {
						t.Errorf("it is\n%+v\nwant\n%+v", got, want)
					}
					checkEnded(t, v)
				})
			}
		}
	}
	chain(t, v, 0)
}

// nothingPending says whether nothing is pending, and nothing is left of what was.
func nothingPending(t *testing.T) bool {
	t.Helper()
	left, err := filepath.Glob("/run/xdpmux/pending/*/*")
	must(t, err)
	return len(left) == 0
}

// TestSeveral makes a change of several interfaces, which is one.
func TestSeveral(t *testing.T) {
	harness.NoLeak(t)
	a, b := harness.NewVeth(t), harness.NewVeth(t)
	before := []*dispatcher.Chain{chain(t, a, 2), chain(t, b, 0)}
	check := func(what string) {
		t.Helper()
		if now := []*dispatcher.Chain{status(t, a.Name), status(t, b.Name)}; !reflect.DeepEqual(now, before) {
			t.Errorf("%s: %+v, want %+v", what, now, before)
		}
		checkEnded(t, a)
		checkEnded(t, b)
	}
	run(t, 0, "load", a.Name+","+b.Name, object(t), "-n", "v_drop", "--confirm", "10m")
	run(t, 0, "revert", b.Name)
	check("loaded and reverted")
	run(t, 0, "load", a.Name+","+b.Name, object(t), "-n", "v_drop", "--confirm", "10m")
	run(t, 0, "confirm")
	if _, err := status(t, b.Name).Find("v_drop"); err != nil {
		t.Error(err)
	}
	before = []*dispatcher.Chain{status(t, a.Name), status(t, b.Name)}
	run(t, 0, "unload", "-a", a.Name, b.Name, "--confirm", "10m")
	run(t, 0, "revert", a.Name)
	check("unloaded and reverted")

	// Of two interfaces one has nothing to unload: the other waits all the same.
	chain(t, b, 0)
	before = []*dispatcher.Chain{status(t, a.Name), status(t, b.Name)}
	if said := run(t, 1, "unload", "-a", a.Name, b.Name, "--confirm", "10m"); !strings.Contains(said, "no XDP program loaded on "+b.Name) || !strings.Contains(said, "confirm "+a.Name) {
		t.Errorf("it says:\n%s", said)
	}
	run(t, 0, "revert")
	check("half unloaded and reverted")

	// Two changes that are pending have to be named.
	run(t, 0, "unload", "-a", a.Name, "--confirm", "10m")
	run(t, 0, "load", b.Name, object(t), "-n", "v_drop", "--confirm", "10m")
	if said := run(t, 1, "confirm"); !strings.Contains(said, "2 changes wait") || !strings.Contains(said, b.Name) {
		t.Errorf("it says:\n%s", said)
	}
	run(t, 0, "revert", b.Name)
	run(t, 0, "revert")
	check("two reverted")
	chain(t, a, 0)
}

// TestNothing makes changes that change nothing, or fail. Nothing is pending then.
func TestNothing(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	before := chain(t, v, 1)
	said := run(t, 0, "set", v.Name, "-i", fmt.Sprint(before.Programs[0].ID), "-P", "10", "--confirm", "60s")
	if !strings.Contains(said, "nothing was changed, so there is nothing to confirm") {
		t.Errorf("it says:\n%s", said)
	}
	run(t, 1, "load", v.Name, object(t), "-n", "v_drop", "-m", "skb", "--confirm", "60s")
	if now := status(t, v.Name); !reflect.DeepEqual(now, before) {
		t.Errorf("%+v, was %+v", now, before)
	}
	checkEnded(t, v)
	chain(t, v, 0)
	v.SetMTU(t, 9000) // the driver refuses the swap when all is kept already
	run(t, 1, "load", v.Name, object(t), "-n", "v_drop", "--confirm", "60s")
	checkEnded(t, v)
}

// TestRefused has a change wait, and makes others of the same interface.
func TestRefused(t *testing.T) {
	harness.NoLeak(t)
	v, other := harness.NewVeth(t), harness.NewVeth(t)
	before := chain(t, v, 2)
	run(t, 0, "load", v.Name, object(t), "-n", "v_drop", "--confirm", "10m")
	pending := status(t, v.Name)
	for _, args := range [][]string{
		{"load", v.Name, object(t), "-n", "v_tx"},
		{"load", v.Name, object(t), "-n", "v_tx", "--confirm", "60s"},
		{"load", other.Name + "," + v.Name, object(t), "-n", "v_tx"},
		{"unload", v.Name, "-i", fmt.Sprint(before.Programs[0].ID)},
		{"unload", "-a", v.Name},
		{"run", v.Name, harness.Sample("xdp_count")},
		{"apply", "-f", stateFile(t, v, "v_tx", 5)},
		{"set", v.Name, "-i", fmt.Sprint(before.Programs[0].ID), "-P", "1", "--confirm", "60s"},
	} {
		said := run(t, 1, args...)
		if !strings.Contains(said, "made by root (xdpmux load "+v.Name) || !strings.Contains(said, "it is taken back at ") ||
			!strings.Contains(said, "xdpmux confirm "+v.Name+", or xdpmux revert "+v.Name) {
			t.Errorf("%q says:\n%s", args, said)
		}
	}
	if now := status(t, v.Name); !reflect.DeepEqual(now, pending) {
		t.Errorf("%+v, was %+v", now, pending)
	}
	if said := run(t, 0, "status", v.Name); !strings.Contains(said, "note: a change of "+v.Name+" waits to be confirmed, made by root (") {
		t.Errorf("status says:\n%s", said)
	}
	run(t, 0, "load", other.Name, object(t), "-n", "v_tx") // another interface is free
	harness.MustRun(t, native, "clean")
	run(t, 0, "clean")
	run(t, 0, "revert", v.Name)
	if now := status(t, v.Name); !reflect.DeepEqual(now, before) {
		t.Errorf("%+v, was %+v", now, before)
	}
	checkEnded(t, v)
	chain(t, v, 0)
	chain(t, other, 0)
}

// TestRecords takes a change of a state back. What runs is the state's then, as it was before.
func TestRecords(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	first, second := stateFile(t, v, "v_pass", 5), stateFile(t, v, "v_drop", 7)
	run(t, 0, "apply", "-f", first)
	before := status(t, v.Name)
	exported := run(t, 0, "export", v.Name)
	run(t, 0, "apply", "-f", second, "--confirm", "10m")
	if _, err := status(t, v.Name).Find("v_drop"); err != nil {
		t.Error(err)
	}
	run(t, 0, "revert")
	if now := status(t, v.Name); !reflect.DeepEqual(now, before) {
		t.Errorf("%+v, was %+v", now, before)
	}
	if now := run(t, 0, "export", v.Name); now != exported {
		t.Errorf("export says:\n%s\nbefore it said:\n%s", now, exported)
	}
	run(t, 0, "plan", "-f", first) // status 0: nothing is to be done
	if said := run(t, 0, "history", v.Name); !strings.Contains(said, " revert\n  takes a change back: root has reverted it\n") {
		t.Errorf("history says:\n%s", said)
	}
	checkEnded(t, v)
	chain(t, v, 0)
}

// TestMapPins takes a load back that has pinned maps: the pins go, and those that others use
// stay.
func TestMapPins(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	const dir = "/sys/fs/bpf/pinned"
	pins := func() []string { all, _ := filepath.Glob(dir + "*"); return all }
	load := []string{"load", v.Name, harness.Fixture("pinned"), "-p", dir, "--confirm", "10m"}
	run(t, 0, load...)
	if len(pins()) == 0 {
		t.Fatal("it has pinned nothing")
	}
	run(t, 0, "revert")
	if left := pins(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	checkEnded(t, v)
	run(t, 0, load...)
	run(t, 0, "confirm")
	if len(pins()) == 0 {
		t.Error("the pins of a change that was confirmed are gone")
	}
	must(t, os.RemoveAll(dir))
	chain(t, v, 0)
}

// TestLone tries changes of a program that runs without a dispatcher.
func TestLone(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	lone := harness.Lone(t, object(t), "v_pass", nil)
	v.Attach(t, lone.FD(), harness.Native)
	before := status(t, v.Name)
	for _, args := range [][]string{
		{"unload", "-a", v.Name},
		{"replace", v.Name, "-i", fmt.Sprint(before.Legacy.ID), object(t), "-n", "v_drop"},
		{"load", v.Name, "--adopt", object(t) + "@name=v_pass", object(t), "-n", "v_drop"},
	} {
		run(t, 0, append(slices.Clone(args), "--confirm", "10m")...)
		if now := status(t, v.Name); now.Legacy != nil {
			t.Errorf("%q has changed nothing: %+v", args, now)
		}
		run(t, 0, "revert")
		if now := status(t, v.Name); !reflect.DeepEqual(now, before) {
			t.Errorf("%q: %+v, was %+v", args, now, before)
		}
		checkEnded(t, v)
	}
	must(t, dispatcher.DetachAll(t.Context(), v.Name, dispatcher.DetachOptions{}))
	t.Setenv("LIBXDP_SKIP_DISPATCHER", "1")
	run(t, 0, "load", v.Name, object(t), "-n", "v_drop", "--confirm", "10m")
	run(t, 0, "revert")
	if now := status(t, v.Name); now.MainID() != 0 {
		t.Errorf("%+v", now)
	}
	checkEnded(t, v)
}
