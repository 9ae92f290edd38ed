package transaction

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// rootless runs xdpmux with the three capabilities that a chain of its own takes.
type rootless struct {
	*testing.T
	veth *harness.Veth
	wrap []string // what leaves no more than these

	traced bool // strace(1) shows that nothing is opened by its id
}

const three = "+net_admin,+bpf,+perfmon"

func newRootless(t *testing.T) *rootless {
	return &rootless{T: t, veth: harness.NewVeth(t),
		wrap: []string{"setpriv", "--bounding-set=-all," + three, "--inh-caps=-all," + three}}
}

// run runs a command on the interface, which has to end like that.
func (r *rootless) run(exit int, command string, args ...string) (output string) {
	r.Helper()
	return r.runAny(exit, command, append([]string{r.veth.Name}, args...)...)
}

func (r *rootless) runAny(exit int, command string, args ...string) (output string) {
	r.Helper()
	line := append(append(slices.Clone(r.wrap), harness.Xdpmux(), command), args...)
	var status int
	var trace string
	if r.traced {
		p, all := harness.StartStraced(r, []string{"--seccomp-bpf", "-e", "trace=bpf"}, line...)
		status = p.Wait(r)
		all.Until(r, func(string) bool { return false })
		output, trace = p.Stdout.String()+p.Stderr.String(), all.String()
	} else {
		var said string
		output, said, status = harness.Run(r, line[0], line[1:]...)
		output += said
	}
	if status != exit {
		r.Fatalf("%s %q: exit status %d, want %d\n%s", command, args, status, exit, output)
	}
	if strings.Contains(trace, "_BY_ID") || strings.Contains(trace, "_NEXT_ID") {
		r.Errorf("%s %q opens something by its id:\n%s", command, args, trace)
	}
	return output
}

// same fails the test unless the three capabilities see what root sees, which they don't change.
func (r *rootless) same() *dispatcher.Chain {
	r.Helper()
	defer func(was bool) { r.traced = was }(r.traced)
	r.traced = false
	if a, b := r.run(0, "status"), harness.MustRun(r, harness.Xdpmux(), "status", r.veth.Name); !strings.HasPrefix(a, b) { // notes come after it
		r.Errorf("without CAP_SYS_ADMIN:\n%s\nwith it:\n%s", a, b)
	}
	return status(r.T, r.veth.Name)
}

// TestWithoutSysAdmin takes chains of one, two and ten from the first load to the last unload with
// CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON.
func TestWithoutSysAdmin(t *testing.T) {
	object := fixture("verdicts", "").File
	for _, n := range []int{1, 2, 10} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			harness.NoLeak(t)
			r := newRootless(t)
			r.traced = n == 2
			passes := func(want int) {
				t.Helper()
				if got := r.veth.Deliver(t, harness.UDP4(harness.Flow{PayloadLen: 64})); len(got) != want {
					t.Errorf("%d packets pass, want %d", len(got), want)
				}
				checkPins(t, r.veth)
			}
			r.run(0, "load", append(slices.Repeat([]string{object}, n), "-n", "v_pass")...)
			r.run(0, "status")
			id := fmt.Sprint(r.same().Programs[n-1].ID)
			passes(1)
			r.run(0, "replace", "-i", id, object, "-n", "v_drop")
			passes(0)
			r.run(0, "set", "--name", "v_drop", "-P", "7")
			r.run(0, "upgrade", "--to", fmt.Sprint(5-r.same().Version))
			if c := r.same(); c.Programs[0].Name != "v_drop" || c.Programs[0].Priority != 7 {
				t.Errorf("%+v", c.Programs)
			}
			if n < xdp.MaxPrograms {
				r.run(0, "load", object, "-n", passing[4], "-P", "99") // the kernel cuts the name
				r.run(0, "set", "--name", passing[4], "-P", "98")
			}
			r.run(0, "unload", "-i", fmt.Sprint(find(t, r.same(), "v_drop")))
			checkPins(t, r.veth)
			r.run(0, "unload", "-a")
			passes(1)
		})
	}
}

// TestWithoutSysAdminAbove has what stands on a chain do without CAP_SYS_ADMIN too: states, changes
// that are taken back, counters and traces.
func TestWithoutSysAdminAbove(t *testing.T) {
	harness.NoLeak(t)
	r := newRootless(t)
	r.traced = true
	object, err := filepath.Abs(fixture("verdicts", "").File)
	must(t, err)
	state := filepath.Join(t.TempDir(), "state.yaml")
	apply := func(exit int, change, says string, programs ...string) {
		t.Helper()
		var entries []string
		for i, p := range programs {
			entries = append(entries, fmt.Sprintf("{name: p%d, object: %s, program: %s, priority: %d}", i, object, p, 10*i))
		}
		text := fmt.Sprintf("interfaces: [{name: %s, programs: [%s]}]", r.veth.Name, strings.Join(entries, ", "))
		must(t, os.WriteFile(state, []byte(text), 0o600))
		if said := r.runAny(exit, change, "-f", state); !strings.Contains(said, says) {
			t.Errorf("%s of %q says:\n%s", change, programs, said)
		}
	}
	apply(0, "apply", "add", "v_pass", "v_drop")
	r.traced = false // which takes long
	first := r.same()
	apply(0, "apply", "nothing to do", "v_pass", "v_drop")
	apply(2, "plan", "replace", "v_tx", "v_drop")
	apply(0, "apply", "replace", "v_tx", "v_drop")
	if c := r.same(); strings.Join(names(c), " ") != "v_tx v_drop" || c.Programs[1].ID != first.Programs[1].ID {
		t.Errorf("%+v", c.Programs)
	}
	before := status(t, r.veth.Name)
	r.run(0, "load", object, "-n", "v_pass", "--confirm", "10m")
	if got := strings.Join(names(r.same()), " "); got != "v_tx v_drop v_pass" {
		t.Error(got)
	}
	r.run(0, "revert")
	if after := r.same(); after.MainID() != before.MainID() {
		t.Errorf("taken back: %+v, was %+v", after, before)
	}
	checkPins(t, r.veth)
	r.traced = true
	r.veth.Deliver(t, harness.UDP4(harness.Flow{PayloadLen: 64}))
	if said := r.run(0, "stats", "-c", "1", "-i", "100ms", "--json"); strings.Contains(said, "blind") || !strings.Contains(said, "v_drop") {
		t.Error(said)
	}
	packets := harness.WritePcap(t, 1, harness.UDP4(harness.Flow{PayloadLen: 64}))
	if said := r.run(0, "trace", "--pcap", packets); !strings.Contains(said, "v_tx") || !strings.Contains(said, "XDP_TX") {
		t.Error(said)
	}
	r.traced = false
	apply(0, "apply", "remove")
	if c := r.same(); c.Dispatcher != nil {
		t.Errorf("%+v", c)
	}
	r.run(0, "load", harness.Sample("xdp_tailcall"))
	if said := r.run(0, "status", "--json"); !strings.Contains(said, `"calls"`) {
		t.Error(said)
	}
	unload(t, r.veth.Name) // which other chain has the program, CAP_SYS_ADMIN alone can tell
}

// TestWithoutSysAdminBeside has native tools change the chain, and others pin something else. Where
// only an id leads on, the error says what is missing, and nothing is changed.
func TestWithoutSysAdminBeside(t *testing.T) {
	harness.NoLeak(t)
	r := newRootless(t)
	object := fixture("verdicts", "").File
	refused := func(why string) {
		t.Helper()
		before := status(t, r.veth.Name)
		for _, args := range [][]string{{"status"}, {"load", object, "-n", "v_pass"}, {"unload", "-a"}, {"unload", "-i", fmt.Sprint(before.MainID())}} {
			if said := r.run(1, args[0], args[1:]...); !strings.Contains(said, "CAP_SYS_ADMIN missing") {
				t.Errorf("%s, %q: %s", why, args, said)
			}
		}
		if after := status(t, r.veth.Name); after.MainID() != before.MainID() {
			t.Errorf("%s: from %+v to %+v", why, before, after)
		}
	}
	r.run(0, "load", object, "-n", "v_drop")
	harness.MustRun(t, native, "load", r.veth.Name, object, "-n", "v_pass")
	refused("native tools have made the dispatcher")
	harness.MustRun(t, native, "unload", "-a", r.veth.Name)
	r.run(0, "load", object, "-n", "v_drop")
	checkPins(t, r.veth) // what was left is gone
	for _, suite := range []string{"", "trixie", "sid"} {
		loader := native
		if suite != "" {
			loader = harness.NativeLoader(t, suite)
		}
		harness.MustRun(t, loader, "unload", "-a", r.veth.Name)
		harness.MustRun(t, loader, "clean")
		if left, _ := filepath.Glob("/sys/fs/bpf/xdp/*"); len(left) != 1 {
			t.Errorf("after clean of %s: %q", loader, left)
		}
		harness.MustRun(t, harness.Xdpmux(), "clean")
		if left, _ := filepath.Glob("/sys/fs/bpf/xdp/*"); len(left) != 0 {
			t.Errorf("after our clean: %q", left)
		}
		r.run(0, "load", object, "-n", "v_drop")
	}
	main := fmt.Sprintf("/sys/fs/bpf/xdp/chain-%d/main-%d", r.veth.Index, r.same().Dispatcher.ID)
	must(t, os.Remove(main))
	refused("the dispatcher's pin is gone")
	fd := harness.Program(t, harness.Pass)
	must(t, libbpf.ObjPin(fd, main))
	refused("its pin is another program's")
	unload(t, r.veth.Name)

	r.veth.Attach(t, fd, harness.Native)
	refused("a program has no dispatcher")
}

// TestNeedsSysAdmin: what docs/architecture.md says to take CAP_SYS_ADMIN says so itself, and changes
// nothing without it.
func TestNeedsSysAdmin(t *testing.T) {
	harness.NoLeak(t)
	r := newRootless(t)
	r.run(0, "load", harness.Sample("xdp_count"))
	before := r.same()
	for _, c := range [][]string{
		{"map", "list", r.veth.Name},
		{"map", "dump", r.veth.Name, "packets"},
		{"replace", r.veth.Name, "--keep-maps", "-i", fmt.Sprint(before.Programs[0].ID), harness.Sample("xdp_count")},
		{"clean"},
	} {
		if said := r.runAny(1, c[0], c[1:]...); !strings.Contains(said, "CAP_SYS_ADMIN") {
			t.Errorf("%q: %s", c, said)
		}
		if after := r.same(); after.MainID() != before.MainID() {
			t.Errorf("%q: from %+v to %+v", c, before, after)
		}
	}
	checkPins(t, r.veth)
	r.run(0, "unload", "-a")
}

// Another user than root who owns a bpffs has chains there. Taking them off needs no CAP_PERFMON, which
// is for loading.
func TestOfAnotherUser(t *testing.T) {
	harness.NoLeak(t)
	dir := t.TempDir()
	for parent := dir; parent != "/tmp"; parent = filepath.Dir(parent) {
		must(t, os.Chmod(parent, 0o755))
	}
	must(t, unix.Mount("bpf", dir, "bpf", 0, "mode=0700"))
	t.Cleanup(func() { must(t, unix.Unmount(dir, 0)) })
	must(t, unix.Chown(dir, 65534, 65534))
	r := newRootless(t)
	as := func(bpffs, capabilities string) []string { // with a /run of the user's own, for the records of xdpmux
		return []string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs -o uid=65534 none /run && exec "$@"`, "sh", "env", "LIBXDP_BPFFS=" + bpffs, "setpriv", "--reuid=65534",
			"--regid=65534", "--clear-groups", "--bounding-set=-all," + capabilities, "--inh-caps=-all," + capabilities, "--ambient-caps=-all," + capabilities}
	}
	r.wrap = as(dir, three)
	object, err := filepath.Abs(fixture("verdicts", "").File)
	must(t, err)
	for _, c := range [][]string{{"load", object, object, "-n", "v_pass"}, {"load", object, "-n", "v_drop", "-P", "7"}, {"set", "--name", "v_drop", "-P", "70"}, {"unload", "-a"}} {
		r.run(0, c[0], c[1:]...)
		now := status(t, r.veth.Name)
		if c[0] != "unload" && (now.Dispatcher == nil || len(now.Programs) != strings.Count(r.run(0, "status"), " => ")) {
			t.Errorf("after %q: %+v", c, now)
		}
	}
	r.run(0, "load", object, object, "-n", "v_pass")
	r.wrap = as(dir, "+net_admin,+bpf")
	r.run(0, "unload", "-a")
	if now := status(t, r.veth.Name); now.Dispatcher != nil {
		t.Errorf("without CAP_PERFMON: %+v", now)
	}
	// Root's chain is out of reach, and that is what the error says.
	r.wrap = as("/sys/fs/bpf", three)
	harness.MustRun(t, harness.Xdpmux(), "load", r.veth.Name, object, "-n", "v_pass")
	if said := r.run(1, "unload", "-a"); !strings.Contains(said, "the pins of chains are out of reach") {
		t.Error(said)
	}
	unload(t, r.veth.Name)
}
