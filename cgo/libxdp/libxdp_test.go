package libxdp_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/cgo/libxdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(m.Run())
	}
	harness.Main(m)
}

const childEnv = "XDPMUX_TEST_CHILD"

// inChild runs the test in a process of its own and says whether this is it: what
// reads a chain leaks, for libxdp 1.3.1 doesn't close the descriptors that it has
// duplicated.
func inChild(t *testing.T) bool {
	t.Helper()
	if os.Getenv(childEnv) != "" {
		return true
	}
	harness.NoLeak(t)
	stdout, _, status := harness.RunEnv(t, []string{childEnv + "=1"}, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	if status != 0 || !strings.Contains(stdout, "--- PASS: "+t.Name()) {
		t.Errorf("exit status %d:\n%s", status, stdout)
	}
	return false
}

const passFile = "../../build/bpf/xdp_pass.o"

func openPass(t *testing.T) *libxdp.Program {
	t.Helper()
	p, err := libxdp.OpenFile(passFile, "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// TestErrors holds that every kind of answer libxdp has for a failure becomes an
// error with the call and the errno.
func TestErrors(t *testing.T) {
	harness.NoLeak(t)
	obj, err := libbpf.OpenFile(passFile, libbpf.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer obj.Close()
	for _, c := range []struct {
		op    string
		errno syscall.Errno
		call  func() error
	}{
		{"xdp_program__open_file", syscall.ENOENT, func() error { _, err := libxdp.OpenFile("nosuchfile.o", "", ""); return err }},
		{"xdp_program__open_file", syscall.ENOENT, func() error { _, err := libxdp.OpenFile(passFile, "nosuchsection", ""); return err }},
		{"xdp_program__find_file", syscall.ENOENT, func() error { _, err := libxdp.FindFile("nosuchfile.o", "", ""); return err }},
		{"xdp_program__create", syscall.ENOENT, func() error { _, err := libxdp.FromObject(obj, "nosuchprogram"); return err }},
		{"xdp_program__from_bpf_obj", syscall.ENOENT, func() error { _, err := libxdp.FromObjectSection(obj, "nosuchsection"); return err }},
		{"xdp_program__from_id", syscall.ENOENT, func() error { _, err := libxdp.FromID(1 << 30); return err }},
		{"xdp_program__from_pin", syscall.ENOENT, func() error { _, err := libxdp.FromPin("/sys/fs/bpf/nosuchpin"); return err }},
		{"xdp_multiprog__get_from_ifindex", syscall.ENOENT, func() error { _, err := libxdp.GetMultiprog(1 << 30); return err }},
	} {
		err := c.call()
		var e *libbpf.Error
		if !errors.As(err, &e) || e.Op != c.op || !errors.Is(err, c.errno) {
			t.Errorf("%s: got %v, want %v", c.op, err, c.errno)
		}
	}
}

// TestStrerror has texts of the system's numbers.
func TestStrerror(t *testing.T) {
	if got := libxdp.Strerror(syscall.ENOENT); got != "No such file or directory" {
		t.Errorf("%q", got)
	}
}

// TestProgram sets what can be set before the load, and finds it refused behind it.
func TestProgram(t *testing.T) {
	if !inChild(t) {
		return
	}
	v := harness.NewVeth(t)
	p := openPass(t)
	if p.Name() != "xdp_pass" || p.RunPrio() != 50 || !p.ChainCallEnabled(2) || p.ChainCallEnabled(1) || p.FragsSupport() || !p.HasBTF() {
		t.Errorf("as opened: %s %d %v", p.Name(), p.RunPrio(), p.FragsSupport())
	}
	if p.ID() != 0 || p.FD() >= 0 || p.Object() == nil {
		t.Errorf("loaded before the load: id %d, fd %d", p.ID(), p.FD())
	}
	for _, err := range []error{p.SetRunPrio(7), p.SetChainCallEnabled(1, true), p.SetChainCallEnabled(2, false), p.SetFragsSupport(true), p.SetFragsSupport(false)} {
		if err != nil {
			t.Error(err)
		}
	}
	if p.RunPrio() != 7 || !p.ChainCallEnabled(1) || p.ChainCallEnabled(2) {
		t.Error("what was set isn't there")
	}
	if actions, err := p.ChainCallActions(); err != nil || actions != "XDP_DROP" {
		t.Errorf("chain call actions %q, %v", actions, err)
	}
	if err := p.Attach(v.Index, libxdp.ModeNative, 0); err != nil {
		t.Fatal(err)
	}
	if err := p.SetRunPrio(8); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("priority of a loaded program: %v", err)
	}
	if p.ID() == 0 || p.FD() < 0 || p.Tag() == (libbpf.Tag{}) {
		t.Errorf("after the load: id %d, fd %d, tag %s", p.ID(), p.FD(), p.Tag())
	}
	if mode := p.IsAttached(v.Index); mode != libxdp.ModeNative {
		t.Errorf("attached in mode %d", mode)
	}
	pin := "/sys/fs/bpf/libxdp-test"
	if err := p.Pin(pin); err != nil {
		t.Fatal(err)
	}
	pinned, err := libxdp.FromPin(pin)
	if err != nil {
		t.Fatal(err)
	}
	if pinned.ID() != p.ID() {
		t.Errorf("pinned %d, want %d", pinned.ID(), p.ID())
	}
	if err := errors.Join(pinned.Close(), pinned.Close(), os.Remove(pin)); err != nil {
		t.Error(err)
	}
	fd, err := libbpf.ProgByID(p.ID())
	if err != nil {
		t.Fatal(err)
	}
	same, err := libxdp.FromFD(fd)
	if err != nil {
		t.Fatal(err)
	}
	if same.ID() != p.ID() || fd.Int() >= 0 {
		t.Errorf("from a descriptor: id %d, and %d is still held", same.ID(), fd.Int())
	}
	same.Close()
}

// TestTestRun has libxdp put a program that isn't loaded in a dispatcher and run both.
func TestTestRun(t *testing.T) {
	if !inChild(t) {
		return
	}
	clone, err := openPass(t).Clone()
	if err != nil {
		t.Fatal(err)
	}
	defer clone.Close()
	frame := harness.UDP4(harness.Flow{PayloadLen: 64})
	run, err := clone.TestRun(libbpf.TestRunOptions{Data: frame, Out: make([]byte, len(frame))})
	if err != nil || run.Return != 2 || string(run.Data) != string(frame) {
		t.Errorf("%+v, %v", run, err)
	}
}

// TestMultiprog walks chains of one, two and ten, and sees libxdp's messages.
func TestMultiprog(t *testing.T) {
	if !inChild(t) {
		return
	}
	for _, n := range []int{1, 2, 10} {
		v := harness.NewVeth(t)
		var progs []*libxdp.Program
		for range n {
			progs = append(progs, openPass(t))
		}
		var said []string
		libxdp.SetLog(libbpf.LogDebug, func(_ libbpf.LogLevel, text string) { said = append(said, text) })
		err := libxdp.AttachMulti(progs, v.Index, libxdp.ModeSKB, 0)
		libxdp.SetLog(0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "Loaded") }) {
			t.Errorf("libxdp said nothing of it: %q", said)
		}
		mp, err := libxdp.GetMultiprog(v.Index)
		if err != nil {
			t.Fatal(err)
		}
		if mp.IsLegacy() || mp.AttachMode() != libxdp.ModeSKB || mp.ProgramCount() != n || len(mp.Programs()) != n || mp.HWProgram() != nil || mp.FragsSupport() {
			t.Errorf("%d programs: legacy %v, mode %d, %d programs", n, mp.IsLegacy(), mp.AttachMode(), mp.ProgramCount())
		}
		if main := mp.MainProgram(); main.Name() != "xdp_dispatcher" || main.Close() != nil || main.ID() == 0 {
			t.Errorf("main program %s %d", main.Name(), main.ID())
		}
		if err := errors.Join(mp.Close(), mp.Close()); err != nil {
			t.Error(err)
		}
		if n > 1 {
			if err := libxdp.DetachMulti(progs[:n-1], v.Index, libxdp.ModeSKB); err != nil {
				t.Error(err)
			}
		}
		if err := progs[n-1].Detach(v.Index, libxdp.ModeSKB); err != nil {
			t.Error(err)
		}
		if err := libxdp.CleanReferences(0); err != nil {
			t.Error(err)
		}
	}
}
