package libbpf_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestLinks puts programs on an interface by a link, and looks at it.
func TestLinks(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	one, two := harness.Program(t, harness.Pass), harness.Program(t, harness.Drop)
	id := func(fd int) uint32 {
		info, err := libbpf.ProgInfoByFD(fd)
		if err != nil {
			t.Fatal(err)
		}
		return info.ID
	}
	l, err := libbpf.LinkCreate(one, v.Index, libbpf.AttachXDP, uint32(libbpf.XDPSKB), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	check := func(prog int, ifindex int) {
		t.Helper()
		info, err := libbpf.LinkInfoByFD(l.Int())
		if err != nil || info.Type != libbpf.LinkTypeXDP || info.ProgID != id(prog) || info.Ifindex != ifindex {
			t.Errorf("%+v, %v", info, err)
		}
	}
	check(one, v.Index)
	if err := libbpf.LinkUpdate(l.Int(), two, libbpf.LinkReplace, two); !errors.Is(err, syscall.EPERM) {
		t.Errorf("replaced what isn't there: %v", err)
	}
	if err := libbpf.LinkUpdate(l.Int(), two, libbpf.LinkReplace, one); err != nil {
		t.Error(err)
	}
	check(two, v.Index)
	if err := libbpf.LinkUpdate(l.Int(), one, 0, 0); err != nil {
		t.Error(err)
	}
	state, err := libbpf.XDPQuery(v.Index)
	if err != nil || state.AttachMode != libbpf.XDPAttachedSKB || state.SKBProgID != id(one) {
		t.Errorf("%+v, %v", state, err)
	}
	if err := libbpf.LinkDetach(l.Int()); err != nil {
		t.Error(err)
	}
	check(one, 0)
	if state, err := libbpf.XDPQuery(v.Index); err != nil || state.AttachMode != libbpf.XDPAttachedNone {
		t.Errorf("%+v, %v", state, err)
	}
}
