package history

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/history"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// commit makes a change that is recorded.
func commit(t *testing.T, ifname string, tx dispatcher.Transaction) {
	t.Helper()
	r := history.NewRecorder(history.Options{Command: []string{"test"}, Warn: func(err error) { t.Error(err) }})
	_, err := tx.Commit(r.Context(t.Context()), ifname)
	r.End(err, ifname)
	must(t, err)
}

// undo goes back to what ran before a change; 0: before the last one.
func undo(t *testing.T, ifname string, number int) {
	t.Helper()
	u, err := history.NewUndo(t.Context(), "", ifname, number)
	must(t, err)
	commit(t, ifname, u.Change)
}

// whatRuns is each program of the chain but for its id, in order, and the ids.
func whatRuns(t *testing.T, ifname string) (places []string, ids []uint32) {
	t.Helper()
	for _, p := range harness.Status(t, ifname).Programs {
		places = append(places, fmt.Sprintf("%s %s %d %v %t", p.Name, p.Tag, p.Priority, p.Actions, p.Frags))
		ids = append(ids, p.ID)
	}
	return places, ids
}

// TestUndoSteps makes ten random changes to a chain of up to ten programs and takes them back:
// one after the other, all at once, and to a step in the middle. Each time the chain has the
// programs that it had then, in the same order and places, and those that have run all the time
// are the same ones.
func TestUndoSteps(t *testing.T) {
	harness.NoLeak(t)
	chance := harness.Chance(t)
	files := []string{harness.Sample("xdp_pass"), harness.Sample("xdp_drop"), harness.Sample("xdp_count"), harness.Fixture("verdicts")}
	for round := range 3 {
		fresh(t, roomy)
		v := veth(t)
		var places [][]string // before each step
		var ids [][]uint32
		note := func() {
			p, i := whatRuns(t, v.Name)
			places, ids = append(places, p), append(ids, i)
		}
		program := func() xdp.Program {
			p := xdp.Program{File: files[chance.IntN(len(files))], Priority: xdp.Prio(uint32(chance.IntN(1e6))), Actions: xdp.On(xdp.Verdict(chance.IntN(5)))}
			return p
		}
		for range 10 {
			note()
			_, there := whatRuns(t, v.Name)
			tx := dispatcher.Transaction{Mode: xdp.ModeUnspecified}
			for len(there) < 10 && (len(tx.Add) == 0 || chance.IntN(2) == 0) && len(there)+len(tx.Add) < 10 {
				tx.Add = append(tx.Add, program())
			}
			for _, id := range there {
				switch chance.IntN(5) {
				case 0:
					tx.Remove = append(tx.Remove, id)
				case 1:
					tx.Set = append(tx.Set, dispatcher.Setting{ID: id, Priority: xdp.Prio(uint32(chance.IntN(1e6))), Actions: xdp.On(xdp.Verdict(chance.IntN(5)))})
				case 2:
					p := program()
					tx.Replace = append(tx.Replace, dispatcher.Replacement{ID: id, Program: p})
				}
			}
			commit(t, v.Name, tx)
		}
		note()
		back := func(number int) {
			t.Helper()
			_, there := whatRuns(t, v.Name)
			undo(t, v.Name, number)
			got, now := whatRuns(t, v.Name)
			if want := places[number-1]; !slices.Equal(got, want) {
				t.Fatalf("round %d, back to before change %d:\n%s\nand not\n%s", round, number, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			for i, id := range ids[number-1] {
				if slices.Contains(there, id) && now[i] != id {
					t.Errorf("round %d, back to before change %d: program %d, which ran, is %d now", round, number, id, now[i])
				}
			}
		}
		for number := 10; number >= 6; number-- {
			back(number)
		}
		back(1)
		back(3)
		back(10)
		unbroken(t, v.Name)
		harness.Run(t, ours(), "unload", "-a", v.Name)
	}
}

// TestUndo: the command goes back one change, and forth with another undo, to a number, and
// with --dry-run nowhere. What the object's file has become doesn't matter.
func TestUndo(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	v := veth(t)
	file := filepath.Join(t.TempDir(), "filter.o")
	harness.MustRun(t, "cp", harness.Sample("xdp_count"), file)
	harness.MustRun(t, ours(), "load", v.Name, harness.Sample("xdp_pass"))
	harness.MustRun(t, ours(), "load", v.Name, file+"@prio=7,actions=DROP")
	before, ids := whatRuns(t, v.Name)
	harness.MustRun(t, ours(), "unload", v.Name, "--name", "xdp_count")
	after, _ := whatRuns(t, v.Name)
	must(t, os.WriteFile(file, []byte("no object"), 0o600))

	if text := harness.MustRun(t, ours(), "undo", v.Name, "--dry-run"); !strings.Contains(text, "new") || !strings.Contains(text, file) {
		t.Error(text)
	}
	if got, _ := whatRuns(t, v.Name); !slices.Equal(got, after) {
		t.Errorf("--dry-run has made it %q", got)
	}
	harness.MustRun(t, ours(), "undo", v.Name)
	got, now := whatRuns(t, v.Name)
	if !slices.Equal(got, before) || now[1] != ids[1] || now[0] == ids[0] {
		t.Errorf("%q %v, and before it was %q %v", got, now, before, ids)
	}
	harness.MustRun(t, ours(), "undo", v.Name)
	if got, _ := whatRuns(t, v.Name); !slices.Equal(got, after) {
		t.Errorf("undone again it is %q", got)
	}
	harness.MustRun(t, ours(), "undo", "--to", "1", v.Name)
	if got, _ := whatRuns(t, v.Name); len(got) != 0 {
		t.Errorf("before all there was %q", got)
	}
	harness.MustRun(t, ours(), "undo", v.Name)
	if got, _ := whatRuns(t, v.Name); !slices.Equal(got, after) {
		t.Errorf("undone again it is %q", got)
	}
	unbroken(t, v.Name)
}

// TestUndoShared takes a program back from one of two interfaces that share it. It is the same
// program again, with the same maps.
func TestUndoShared(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	v, w := veth(t), veth(t)
	harness.MustRun(t, ours(), "load", v.Name+","+w.Name, harness.Sample("xdp_count"), harness.Sample("xdp_pass"))
	before, ids := whatRuns(t, v.Name)
	harness.MustRun(t, ours(), "unload", "-a", v.Name)
	w.Deliver(t, harness.UDP4(harness.Flow{}))
	harness.MustRun(t, ours(), "undo", v.Name)
	v.Deliver(t, harness.UDP4(harness.Flow{}))
	got, now := whatRuns(t, v.Name)
	if !slices.Equal(got, before) || !slices.Equal(now, ids) {
		t.Errorf("%q %v, and before it was %q %v", got, now, before, ids)
	}
	count, err := harness.Status(t, v.Name).Find("xdp_count")
	must(t, err)
	if sums := harness.Counters(t, count.ID); !slices.Contains(sums, 2) {
		t.Errorf("counted %v, and 2 packets have come", sums)
	}
	for _, u := range []*harness.Veth{v, w} {
		unbroken(t, u.Name)
	}

	// What came from the other chain is known as what was loaded here, once it runs nowhere any more.
	harness.MustRun(t, ours(), "unload", "-a", v.Name+","+w.Name)
	harness.MustRun(t, ours(), "undo", v.Name)
	if got, now := whatRuns(t, v.Name); !slices.Equal(got, before) || slices.Equal(now, ids) {
		t.Errorf("%q %v, and before it was %q %v", got, now, before, ids)
	}
	unbroken(t, v.Name)
	harness.MustRun(t, native, "unload", "-a", v.Name)
}

// TestUndoSharedLost takes a program back that two interfaces have lost at once: the record of each
// has what its map held.
func TestUndoSharedLost(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	v, w := veth(t), veth(t)
	both := v.Name + "," + w.Name
	harness.MustRun(t, ours(), "load", both, harness.Sample("xdp_count"), harness.Sample("xdp_pass"))
	for _, u := range []*harness.Veth{v, w} {
		u.Deliver(t, harness.UDP4(harness.Flow{}))
	}
	count, err := harness.Status(t, v.Name).Find("xdp_count")
	must(t, err)
	harness.MustRun(t, ours(), "unload", "-a", both)
	for _, u := range []*harness.Veth{v, w} {
		all := unbroken(t, u.Name)
		if r := all[len(all)-1]; len(r.Saved) != 1 || r.Saved[0].ID != count.ID {
			t.Errorf("%s: saved of %v is %+v", u.Name, count, r.Saved)
		}
		harness.MustRun(t, ours(), "undo", u.Name, "--restore-maps")
		restored, err := harness.Status(t, u.Name).Find("xdp_count")
		must(t, err)
		if sums := harness.Counters(t, restored.ID); restored.ID == count.ID || !slices.Contains(sums, 2) {
			t.Errorf("%s: %v has counted %v, and 2 packets had come", u.Name, restored, sums)
		}
	}
	harness.MustRun(t, native, "unload", "-a", v.Name)
}

// TestUndoBound takes a program back that asks the driver for metadata and that somebody holds,
// into a chain that isn't bound to its device any more. It is the same program, and the chain is
// bound again. Into the chain of another device it can't be taken.
func TestUndoBound(t *testing.T) {
	harness.NoLeak(t)
	if harness.KernelBefore(t, "6.3") {
		return
	}
	fresh(t, roomy)
	v, w := veth(t), veth(t)
	harness.MustRun(t, ours(), "load", v.Name, harness.Fixture("metadata"), "-n", "ask_hash")
	before, ids := whatRuns(t, v.Name)
	fd, err := libbpf.ProgByID(ids[0])
	must(t, err)
	defer fd.Close()
	harness.MustRun(t, ours(), "unload", "-a", v.Name)
	harness.MustRun(t, ours(), "load", v.Name, harness.Sample("xdp_pass"))
	harness.MustRun(t, ours(), "undo", "--to", "2", v.Name)
	if got, now := whatRuns(t, v.Name); !slices.Equal(got, before) || !slices.Equal(now, ids) || !harness.Status(t, v.Name).DeviceBound {
		t.Errorf("%q %v, and before it was %q %v", got, now, before, ids)
	}
	unbroken(t, v.Name)

	_, err = dispatcher.Transaction{Link: []dispatcher.Setting{{ID: ids[0]}}}.Commit(t.Context(), w.Name)
	if !errors.Is(err, xdp.ErrInvalid) || !strings.Contains(err.Error(), "(ask_hash) can't join: it is bound to another device") {
		t.Error(err)
	}
	harness.MustRun(t, ours(), "unload", "-a", v.Name)
}

// TestUndoOfAnotherBoot goes back to what ran in another boot. A program that runs now, and has
// the id, the name and the code of one that ran then, isn't that one: it is replaced by one that
// is loaded with what that was loaded with.
func TestUndoOfAnotherBoot(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	v := veth(t)
	for _, step := range []uint64{5, 6} {
		commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{{File: harness.Fixture("globals"), Variables: map[string]any{"step": step}}}})
	}
	const bootID = "/proc/sys/kernel/random/boot_id"
	boot := filepath.Join(t.TempDir(), "boot_id")
	must(t, os.WriteFile(boot, []byte("8f0c3ad5-0000-4000-8000-000000000000\n"), 0o600))
	must(t, unix.Mount(boot, bootID, "", unix.MS_BIND, ""))
	t.Cleanup(func() { must(t, unix.Unmount(bootID, 0)) })

	places, ids := whatRuns(t, v.Name)
	undo(t, v.Name, 2)
	got, now := whatRuns(t, v.Name)
	if !slices.Equal(got, places[:1]) || slices.Contains(ids, now[0]) {
		t.Errorf("%q %v, and before it was %q %v", got, now, places, ids)
	}
	v.Deliver(t, harness.UDP4(harness.Flow{}))
	if counted := harness.MustRun(t, ours(), "map", "dump", v.Name, "globals.bss"); !strings.Contains(counted, "5") {
		t.Errorf("it isn't loaded with what it was loaded with:\n%s", counted)
	}

	// A program without a dispatcher can't come back, nor be taken for the one that runs.
	harness.MustRun(t, ours(), "unload", "-a", v.Name)
	v.Attach(t, harness.Program(t, harness.Pass), harness.Native)
	harness.MustRun(t, ours(), "history", v.Name) // finds it
	harness.MustRun(t, ours(), "unload", "-a", v.Name)
	all := records(t, v.Name)
	v.Attach(t, harness.Program(t, harness.Pass), harness.Native)
	must(t, unix.Unmount(bootID, 0))
	_, err := history.NewUndo(t.Context(), "", v.Name, all[len(all)-1].Number)
	if !errors.Is(err, xdp.ErrLegacy) || !strings.Contains(err.Error(), "can't be brought back") {
		t.Error(err)
	}
	must(t, unix.Mount(boot, bootID, "", unix.MS_BIND, ""))
}

// TestUndoMore brings back what a program was loaded with: the size of a map, the entries of
// another, the variables, the pins; and the version of the dispatcher.
func TestUndoMore(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	v := veth(t)
	const pins = "/sys/fs/bpf/undo"
	t.Cleanup(func() { must(t, os.RemoveAll(pins)) })
	harness.MustRun(t, ours(), "load", v.Name, harness.Fixture("unsized"), "--map-size", "flows=77")
	harness.MustRun(t, ours(), "load", v.Name, harness.Fixture("pinned"), "-p", pins)
	harness.MustRun(t, ours(), "upgrade", v.Name, "--to", "3")
	commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{{File: harness.Fixture("globals"), Priority: xdp.Prio(1),
		Variables: map[string]any{"step": uint64(5), "unit": 7}}}})
	count := func() string {
		v.Deliver(t, harness.UDP4(harness.Flow{}))
		return harness.MustRun(t, ours(), "map", "dump", v.Name, "globals.bss")
	}
	counted := count()
	if !strings.Contains(counted, "35") {
		t.Fatal(counted)
	}
	sizes := mapSizes(t, v.Name)
	harness.MustRun(t, ours(), "unload", "-a", v.Name)
	must(t, os.RemoveAll(pins))
	harness.MustRun(t, ours(), "undo", v.Name)
	if got := mapSizes(t, v.Name); got != sizes {
		t.Errorf("maps:\n%s\nand before:\n%s", got, sizes)
	}
	if got := count(); got != counted {
		t.Errorf("with other variables:\n%s\nand before:\n%s", got, counted)
	}
	if c := harness.Status(t, v.Name); c.Version != 3 {
		t.Errorf("the dispatcher has version %d", c.Version)
	}
	if found, err := filepath.Glob(pins + "/*"); err != nil || len(found) == 0 {
		t.Errorf("pins: %q, %v", found, err)
	}
}

// mapSizes are the maps of a chain without their ids.
func mapSizes(t *testing.T, ifname string) string {
	t.Helper()
	var all []string
	for _, p := range harness.Status(t, ifname).Programs {
		for _, id := range harness.MapIDs(t, p.ID) {
			_, rest, _ := strings.Cut(harness.MustRun(t, "bpftool", "map", "show", "id", itoa(id)), ": ")
			rest, _, _ = strings.Cut(rest, "memlock")
			all = append(all, p.Name+" "+rest)
		}
	}
	return strings.Join(all, "\n")
}

// TestUndoRefused: what can't be brought back is said, and nothing is changed.
func TestUndoRefused(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	v := veth(t)
	refused := func(want string, args ...string) {
		t.Helper()
		before := running(t, v.Name)
		for _, more := range []string{"--dry-run", ""} {
			stdout, stderr, status := harness.Run(t, ours(), strings.Fields("undo "+v.Name+" "+strings.Join(args, " ")+" "+more)...)
			if status != 1 || stdout != "" || !strings.Contains(stderr, want) || running(t, v.Name) != before {
				t.Errorf("undo %q: exit status %d, %s%s, and then there is %s", args, status, stdout, stderr, running(t, v.Name))
			}
		}
	}
	refused("no change of " + v.Name + " is recorded")
	harness.MustRun(t, ours(), "load", v.Name, harness.Sample("xdp_pass"))
	refused("has no change 77\n  it has changes 1 to 1", "--to", "77")
	refused(`--to "0" is no number of a change`, "--to", "0")
	harness.MustRun(t, native, "load", v.Name, harness.Sample("xdp_drop"))
	harness.MustRun(t, ours(), "unload", v.Name, "--name", "xdp_drop")
	refused("(xdp_drop) can't be brought back on " + v.Name + ": xdpmux has not loaded what is gone")

	harness.MustRun(t, ours(), "load", v.Name, harness.Sample("xdp_count"))
	harness.MustRun(t, ours(), "unload", v.Name, "--name", "xdp_count")
	all := records(t, v.Name)
	copied := ""
	for _, p := range all[len(all)-1].Before.Programs {
		if p.Name == "xdp_count" {
			copied = "/var/lib/xdpmux/objects/" + p.SHA256
		}
	}
	data, err := os.ReadFile(copied)
	must(t, err)
	must(t, os.WriteFile(copied, append([]byte{0}, data...), 0o600))
	refused("(xdp_count) can't be brought back: its copy " + copied + " is damaged: its SHA-256 is ")
	must(t, os.Remove(copied))
	refused("(xdp_count) can't be brought back: its copy is gone: no " + copied)
	// The next load mends it.
	harness.MustRun(t, ours(), "load", v.Name, harness.Sample("xdp_count"))
	harness.MustRun(t, ours(), "undo", v.Name, "--to", itoa(uint32(all[len(all)-1].Number)))
}

// TestCleanCopies: clean removes copies that no record refers to, once they have lain for a
// while, and no other.
func TestCleanCopies(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	v := veth(t)
	harness.MustRun(t, ours(), "load", v.Name, harness.Sample("xdp_pass"))
	harness.MustRun(t, ours(), "unload", "-a", v.Name)
	stray := []string{"/var/lib/xdpmux/objects/0123456789", "/var/lib/xdpmux/objects/abc.new"}
	old := time.Now().Add(-time.Hour)
	for _, name := range stray {
		must(t, os.WriteFile(name, nil, 0o600))
	}
	clean := func(want string, args ...string) {
		t.Helper()
		stdout := harness.MustRun(t, ours(), append([]string{"clean"}, args...)...)
		if _, rest, _ := strings.Cut(stdout, "\n"); rest != want {
			t.Errorf("clean %q: %s", args, stdout)
		}
	}
	clean("")
	must(t, filepath.WalkDir("/var/lib/xdpmux/objects", func(path string, _ os.DirEntry, err error) error {
		must(t, err)
		return os.Chtimes(path, old, old)
	}))
	clean("would remove 2 copied files that undo has no use for, of 4\n", "--dry-run")
	clean("", v.Name)
	clean("removed 2 copied files that undo has no use for, of 4\n")
	clean("")
	harness.MustRun(t, ours(), "undo", v.Name)
}
