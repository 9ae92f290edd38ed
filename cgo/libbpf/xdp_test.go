package libbpf_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestXDP attaches with and without the expected old program, and queries.
func TestXDP(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	one, two := harness.Program(t, harness.Pass), harness.Program(t, harness.Drop)
	if err := libbpf.XDPAttach(v.Index, one, libbpf.XDPNative|libbpf.XDPUpdateIfNoExist, -1); err != nil {
		t.Fatal(err)
	}
	if err := libbpf.XDPAttach(v.Index, two, libbpf.XDPNative|libbpf.XDPUpdateIfNoExist, -1); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("attached over another: %v", err)
	}
	if err := libbpf.XDPAttach(v.Index, two, libbpf.XDPNative|libbpf.XDPReplace, two); !errors.Is(err, syscall.EEXIST) {
		t.Errorf("replaced what isn't there: %v", err)
	}
	if err := libbpf.XDPAttach(v.Index, two, libbpf.XDPNative|libbpf.XDPReplace, one); err != nil {
		t.Error(err)
	}
	info, err := libbpf.ProgInfoByFD(two)
	if err != nil {
		t.Fatal(err)
	}
	state, err := libbpf.XDPQuery(v.Index)
	if err != nil || state.ProgID != info.ID || state.NativeProgID != info.ID || state.SKBProgID != 0 || state.AttachMode != libbpf.XDPAttachedNative {
		t.Errorf("%+v, %v, want program %d", state, err, info.ID)
	}
	if err := libbpf.XDPAttach(v.Index, -1, libbpf.XDPNative, -1); err != nil {
		t.Error(err)
	}
	if _, _, err := libbpf.XDPFeatures(v.Index); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("features: %v", err)
	}
}

// TestDevice loads a program for a device: bound to it, which the kernel can from Linux 6.3
// on, and offloaded to it, which no veth can.
func TestDevice(t *testing.T) {
	harness.NoLeak(t)
	v, other := harness.NewVeth(t), harness.NewVeth(t)
	load := func(flags uint32) (fd int, err error) {
		o := open(t, "../../build/bpf/xdp_pass.o", libbpf.OpenOptions{})
		p := o.FindProgram("xdp_pass")
		p.SetIfindex(v.Index)
		if err := p.SetFlags(flags); err != nil || p.Flags() != flags {
			t.Fatalf("flags %#x: %v", p.Flags(), err)
		}
		err = o.Load()
		return p.FD(), err
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	fd, err := load(libbpf.FlagXDPDevBoundOnly)
	switch {
	case strings.HasPrefix(unix.ByteSliceToString(name.Release[:]), "6.1."):
		if !errors.Is(err, syscall.EINVAL) {
			t.Errorf("bound to a device: %v", err)
		}
	case err != nil:
		t.Error(err)
	default:
		if err := libbpf.XDPAttach(other.Index, fd, libbpf.XDPNative, -1); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("attached to another device than the one it is bound to: %v", err)
		}
		if err := libbpf.XDPAttach(v.Index, fd, libbpf.XDPNative, -1); err != nil {
			t.Error(err)
		}
	}
	if _, err := load(0); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("offloaded to a veth: %v", err)
	}
}
