package transaction

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// hostOf makes the libxdp of a Debian suite that of the host, for a run of xdpmux.
func hostOf(t *testing.T, version int) []string {
	return []string{"LIBXDP_OBJECT_PATH=" + filepath.Dir(harness.DispatcherObject(t, version))}
}

// TestUpgrade takes a chain that native tools of one libxdp have written to the version of
// another and back. Its programs, maps, ids and order stay, and the tools that know the
// version then go on with the chain.
func TestUpgrade(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	tools := map[int]string{2: native, 3: harness.NativeLoader(t, "sid")}
	object := absolute(t, "flood")
	pass := absolute(t, "verdicts")
	for _, name := range []string{"front", "guard", "behind"} {
		harness.MustRun(t, native, "load", v.Name, object, "-n", name, "-P", map[string]string{"front": "30", "guard": "10", "behind": "20"}[name])
	}
	v.Deliver(t, padded(frame(plain)), padded(frame(plain)))
	was := status(t, v.Name)
	counted := map[uint32][]uint64{}
	for _, p := range was.Programs {
		counted[p.ID] = harness.Counters(t, p.ID)
	}

	before := harness.Snapshot(t)
	var preview []dispatcher.Preview
	if err := json.Unmarshal([]byte(harness.MustRun(t, harness.Xdpmux(), "upgrade", v.Name, "--to", "3", "--dry-run", "--json")), &preview); err != nil {
		t.Fatal(err)
	}
	if len(preview) != 1 || preview[0].Version != 3 || !preview[0].Changed || len(preview[0].Programs) != 3 {
		t.Errorf("--dry-run: %+v", preview)
	}
	before.Check(t)

	for _, step := range []struct {
		args    []string
		host    int // whose libxdp is installed
		version int
	}{
		{[]string{"--to", "3"}, 2, 3}, {nil, 2, 2}, {nil, 3, 3}, {[]string{"--to", "2"}, 3, 2},
	} {
		at := fmt.Sprintf("%v beside libxdp that writes version %d", step.args, step.host)
		stdout, stderr, exit := harness.RunEnv(t, hostOf(t, step.host), harness.Xdpmux(), append([]string{"upgrade", v.Name}, step.args...)...)
		if exit != 0 || stdout+stderr != "" {
			t.Fatalf("%s: exit status %d\n%s%s", at, exit, stdout, stderr)
		}
		now := status(t, v.Name)
		if now.Version != step.version || now.Dispatcher.ID == was.Dispatcher.ID || !reflect.DeepEqual(now.Programs, was.Programs) {
			t.Fatalf("%s: version %d of %+v\nwas %+v", at, now.Version, now, was)
		}
		for id, want := range counted {
			if got := harness.Counters(t, id); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: program %d has counted %v, and had %v", at, id, got, want)
			}
		}
		checkPins(t, v)
		was = now

		// Once more is no change.
		if harness.RunEnv(t, hostOf(t, step.host), harness.Xdpmux(), append([]string{"upgrade", v.Name}, step.args...)...); status(t, v.Name).Dispatcher.ID != was.Dispatcher.ID {
			t.Errorf("%s: a second time makes another swap", at)
		}
		// Tools of that version show the chain, join it and leave it.
		tool := tools[step.version]
		if ours, theirs := harness.MustRun(t, harness.Xdpmux(), "status", v.Name), harness.MustRun(t, tool, "status", v.Name); ours != theirs {
			t.Errorf("%s: status\n%s\n%s status\n%s", at, ours, tool, theirs)
		}
		harness.MustRun(t, tool, "load", v.Name, pass, "-n", "v_pass", "-P", "90")
		joined := status(t, v.Name)
		if len(joined.Programs) != 4 || joined.Version != step.version {
			t.Fatalf("%s: %s load: %+v", at, tool, joined)
		}
		harness.MustRun(t, tool, "unload", v.Name, "-i", fmt.Sprint(joined.Programs[3].ID))
		was = status(t, v.Name)
		if len(was.Programs) != 3 || was.Version != step.version {
			t.Fatalf("%s: %s unload: %+v", at, tool, was)
		}
		checkPins(t, v)
		saysWhatNativeToolsCan(t, v.Name, step.version)
	}
	harness.MustRun(t, native, "unload", v.Name, "-a")
	harness.MustRun(t, harness.Xdpmux(), "clean")
	checkPins(t, v)
}

// saysWhatNativeToolsCan looks at a chain of that version beside either libxdp: status and
// check name the command that lets the host's tools share it, where they can't.
func saysWhatNativeToolsCan(t *testing.T, ifname string, version int) {
	t.Helper()
	for host, says := range map[int]string{
		2: "the native tools of this host can't read the chain on " + ifname + ": its dispatcher has version 3, and they know no newer one than 2",
		3: "the native tools of this host can show and unload the chain on " + ifname + ", and not change it: its dispatcher has version 2, and theirs version 3",
	} {
		stdout, stderr, exit := harness.RunEnv(t, hostOf(t, host), harness.Xdpmux(), "status", ifname)
		note := "xdpmux: note: " + says + "\n  to have them share it: xdpmux upgrade " + ifname + "\n"
		if host == version {
			note = ""
		}
		if exit != 0 || stderr != note || strings.Contains(stdout, "upgrade") {
			t.Errorf("status beside a libxdp that writes version %d: exit status %d\n%s%s", host, exit, stdout, stderr)
		}
		stdout, _, exit = harness.RunEnv(t, hostOf(t, host), harness.Xdpmux(), "check", ifname)
		if exit != 0 || strings.Contains(stdout, says) == (host == version) || strings.Contains(stdout, "xdpmux upgrade "+ifname) == (host == version) {
			t.Errorf("check beside a libxdp that writes version %d: exit status %d\n%s", host, exit, stdout)
		}
	}
}

// TestUpgradeOfVersion1 takes a chain of a libxdp before 1.3, which no tool here can
// change, to a version that they can.
func TestUpgradeOfVersion1(t *testing.T) {
	harness.NoLeak(t)
	for _, to := range []int{2, 3} {
		v := harness.NewVeth(t)
		f := harness.NewForeign(t, 1)
		v.Attach(t, f.FD, harness.Native)
		for i := range f.Programs {
			f.Pin(t, fmt.Sprintf("/sys/fs/bpf/xdp/dispatch-%d-%d", v.Index, f.ID), i)
		}
		harness.MustRun(t, harness.Xdpmux(), "upgrade", v.Name, "--to", fmt.Sprint(to))
		chain := status(t, v.Name)
		if chain.Version != to || len(chain.Programs) != 2 || chain.Programs[0].ID != f.Programs[0] || chain.Programs[1].ID != f.Programs[1] ||
			chain.Programs[0].Priority != 7 || chain.Programs[1].Actions != *xdp.On(xdp.Pass, xdp.TX) {
			t.Errorf("to version %d: %+v", to, chain)
		}
		checkPins(t, v)
		harness.MustRun(t, harness.Xdpmux(), "set", v.Name, "-i", fmt.Sprint(f.Programs[0]), "-P", "70")
		harness.MustRun(t, map[int]string{2: native, 3: harness.NativeLoader(t, "sid")}[to], "load", v.Name, absolute(t, "verdicts"), "-n", "v_pass")
		if got := strings.Join(names(status(t, v.Name)), " "); got != "xdp_pass v_pass xdp_pass" {
			t.Errorf("to version %d: %s", to, got)
		}
		unload(t, v.Name)
	}
}

// TestMixedVersions loads one program, for all of them, on interfaces whose chains have
// different versions: each keeps its own, and the program is the same.
func TestMixedVersions(t *testing.T) {
	harness.NoLeak(t)
	for _, added := range []xdp.Program{fixture("verdicts", "v_tx"), fixture("movehead", "move_head")} {
		var ifnames []string
		for _, version := range []int{3, 2, 0} {
			v := harness.NewVeth(t)
			ifnames = append(ifnames, v.Name)
			if version != 0 {
				commit(t, v.Name, dispatcher.Transaction{Version: version, Add: []xdp.Program{fixture("verdicts", "v_pass")}})
			}
		}
		done, err := dispatcher.AttachAll(t.Context(), ifnames, []xdp.Program{added}, dispatcher.AttachAllOptions{})
		must(t, err)
		for i, want := range []int{3, 2, 2} {
			chain := status(t, ifnames[i])
			if chain.Version != want || find(t, chain, added.Name) != done[0].Programs[0].ID {
				t.Errorf("%s: version %d, want %d, of %+v", added.Name, chain.Version, want, chain.Programs)
			}
		}
		for _, ifname := range ifnames {
			unload(t, ifname)
		}
	}
}

// TestUpgradeRefused meets what can't be upgraded, and leaves it.
func TestUpgradeRefused(t *testing.T) {
	harness.NoLeak(t)
	foreign := func(open func(testing.TB) *harness.Foreign) func(*testing.T, *harness.Veth) {
		return func(t *testing.T, v *harness.Veth) { v.Attach(t, open(t).FD, harness.Native) }
	}
	for name, c := range map[string]struct {
		there func(*testing.T, *harness.Veth)
		args  []string
		env   string
		says  string
	}{
		"nothing":        {says: "no chain on "},
		"nothing at all": {args: []string{"--dry-run"}, says: "no chain on "},
		"a legacy program": {there: func(t *testing.T, v *harness.Veth) {
			v.Attach(t, harness.Program(t, harness.Pass), harness.Native)
		}, says: "attached without a dispatcher"},
		"an unknown one":  {there: foreign(func(t testing.TB) *harness.Foreign { return harness.NewForeign(t, 4) }), says: "the dispatcher has version 4, and xdpmux knows 1 to 3"},
		"an old version":  {args: []string{"--to", "1"}, says: `--to "1" is no version that xdpmux writes`},
		"no version":      {args: []string{"--to", "x"}, says: `--to "x" is no version that xdpmux writes`},
		"a wrong libxdp":  {env: "LIBXDP_OBJECT_PATH=" + t.TempDir(), says: "LIBXDP_OBJECT_PATH is set, and "},
		"no such program": {args: []string{"no-such-interface"}, says: "upgrade needs one interface"},
	} {
		t.Run(name, func(t *testing.T) {
			v := harness.NewVeth(t)
			if c.there != nil {
				c.there(t, v)
			}
			before := harness.Snapshot(t)
			stdout, stderr, exit := harness.RunEnv(t, []string{c.env}, harness.Xdpmux(), append([]string{"upgrade", v.Name}, c.args...)...)
			if exit != 1 || stdout != "" || !strings.HasPrefix(stderr, "xdpmux: ") || !strings.Contains(stderr, c.says) {
				t.Errorf("exit status %d, want %q\n%s%s", exit, c.says, stdout, stderr)
			}
			before.Check(t)
		})
	}
}

// TestUpgradeUnderFlood has a chain change its version again and again: no packet misses
// a program, and no program loses what it has counted.
func TestUpgradeUnderFlood(t *testing.T) {
	harness.NoLeak(t)
	harness.FillShortcut(t)
	v := harness.NewVeth(t)
	front, guard, behind := fixture("flood", "front"), fixture("flood", "guard"), fixture("flood", "behind")
	front.Priority, guard.Priority, behind.Priority = prio(10), prio(20), prio(90)
	ids := map[string]uint32{}
	for _, p := range commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{front, guard, behind}}).Added {
		ids[p.Name] = p.ID
	}
	before := received(t, v)
	stop := flood(t, v)
	turns := harness.Scaled(100, 6)
	for i := range turns {
		done := commit(t, v.Name, dispatcher.Transaction{Mode: xdp.ModeUnspecified, Version: 3 - i%2})
		if !done.Changed || done.Chain.Version != 3-i%2 {
			t.Fatalf("turn %d: %+v", i, done.Chain)
		}
	}
	packets := stop() - before
	f, g, b := harness.Counters(t, ids["front"]), harness.Counters(t, ids["guard"]), harness.Counters(t, ids["behind"])
	t.Logf("%d packets, %d turns", packets, turns)
	if f[0]+f[1] != packets || g[1] != f[1] || b[1] != 0 || b[0] != f[0] {
		t.Errorf("of %d packets, the programs counted %v, %v and %v: plain and marked", packets, f, g, b)
	}
	if packets < uint64(turns) {
		t.Errorf("only %d packets: that proves nothing", packets)
	}
	checkPins(t, v)
	unload(t, v.Name)
}

// TestHostLibxdp loads a first program beside whatever libxdp is installed, or none: the
// chain gets its version, and what can't be used as one never makes another.
func TestHostLibxdp(t *testing.T) {
	harness.NoLeak(t)
	notDispatcher, version4 := t.TempDir(), t.TempDir()
	copyTo := func(dir, file string) {
		t.Helper()
		data, err := os.ReadFile(file)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, "xdp-dispatcher.o"), data, 0o600))
	}
	copyTo(notDispatcher, harness.Sample("xdp_pass"))
	copyTo(version4, harness.Fixture("dispatcher-4"))
	here := filepath.Dir(harness.DispatcherObject(t, 2)) // its directory has the library, too
	hidden := func(more string) []string {
		return []string{"unshare", "--mount", "sh", "-c", "cd / && mount -t tmpfs tmpfs " + filepath.Dir(here) + " && mkdir " + here + " && " + more + ` exec "$@"`, "sh"}
	}
	library := func(name string) []string {
		return hidden(fmt.Sprintf("touch %[1]s/%[2]s && ln -s %[2]s %[1]s/libxdp.so.1 &&", filepath.Dir(here), name))
	}
	env := func(dir string) []string { return []string{"env", "LIBXDP_OBJECT_PATH=" + dir} }
	pass := absolute(t, "verdicts")
	for name, c := range map[string]struct {
		wrap    []string
		version int // 0: refused
		checked string
	}{
		"1.3.1":                {nil, 2, "new dispatchers are of version 2"},
		"1.5.4":                {env(strings.Replace(filepath.Dir(harness.DispatcherObject(t, 3)), "sid", "trixie", 1)), 2, "new dispatchers are of version 2"},
		"1.6.3":                {env(filepath.Dir(harness.DispatcherObject(t, 3))), 3, "new dispatchers are of version 3"},
		"library of 1.6":       {library("libxdp.so.1.6.0"), 3, "new dispatchers are of version 3"},
		"library of 1.5":       {library("libxdp.so.1.5.0"), 2, "new dispatchers are of version 2"},
		"library of 1.2":       {library("libxdp.so.1.2.0"), 2, "of version 2, and those of the installed libxdp of version 1"},
		"none":                 {hidden(""), 2, "as no libxdp is installed"},
		"a newer one":          {env(version4), 3, "of version 3, and those of the installed libxdp of version 4"},
		"something else there": {hidden("cp " + filepath.Join(notDispatcher, "xdp-dispatcher.o") + " " + here + " &&"), 2, "as no libxdp is installed"},
		"something else asked": {env(notDispatcher), 0, "no version of a dispatcher in it"},
		"nothing there":        {env(t.TempDir()), 0, "LIBXDP_OBJECT_PATH is set, and "},
	} {
		t.Run(name, func(t *testing.T) {
			if len(c.wrap) > 0 && c.wrap[0] == "unshare" && !static(t) {
				return // it can't run without the libxdp that is hidden
			}
			v := harness.NewVeth(t)
			run := func(args ...string) (string, string, int) {
				all := append(append([]string{}, c.wrap...), append([]string{harness.Xdpmux()}, args...)...)
				return harness.Run(t, all[0], all[1:]...)
			}
			stdout, stderr, exit := run("load", v.Name, pass, "-n", "v_pass")
			chain := status(t, v.Name)
			if c.version == 0 {
				if exit != 1 || chain.Dispatcher != nil || chain.Legacy != nil || !strings.Contains(stderr, "LIBXDP_OBJECT_PATH") {
					t.Errorf("exit status %d, %+v\n%s%s", exit, chain, stdout, stderr)
				}
			} else if exit != 0 || chain.Version != c.version || stderr != "" {
				t.Errorf("exit status %d, version %d\n%s%s", exit, chain.Version, stdout, stderr)
			}
			checked, stderr, exit := run("check")
			if (exit != 0) != (c.version == 0) || !strings.Contains(checked, c.checked) {
				t.Errorf("check: exit status %d, want %q\n%s%s", exit, c.checked, checked, stderr)
			}
			// A second program never finds another version than the first.
			if c.version != 0 {
				if _, stderr, exit := run("load", v.Name, pass, "-n", "v_tx"); exit != 0 {
					t.Errorf("the second load: exit status %d\n%s", exit, stderr)
				}
				if chain := status(t, v.Name); chain.Version != c.version || len(chain.Programs) != 2 {
					t.Errorf("after the second load: %+v", chain)
				}
				unload(t, v.Name)
			}
			checkPins(t, v)
		})
	}
}

// static says whether the xdpmux under test runs without shared libraries.
func static(t *testing.T) bool {
	path, err := exec.LookPath(harness.Xdpmux())
	must(t, err)
	file, err := elf.Open(path)
	must(t, err)
	defer file.Close()
	return !slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}
