package desired

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestWaiting: an apply that waits for another says for which, and a signal ends it.
func TestWaiting(t *testing.T) {
	harness.NoLeak(t)
	file := write(t, "state.yaml", "interfaces: [{name: absent*}]")
	mustExit(t, 0, "apply", "-f", file) // makes the lock
	lock, err := os.OpenFile("/run/xdpmux/lock", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	p := harness.Start(t, harness.Xdpmux(), "apply", "-f", file)
	expect := func(want string) {
		t.Helper()
		if line := p.Stderr.Line(t); !strings.HasPrefix(line, want) {
			t.Errorf("got %q, want %q", line, want)
		}
	}
	expect(fmt.Sprintf("xdpmux: waiting for process %d (", os.Getpid()))
	p.Signal(t, syscall.SIGTERM)
	expect("xdpmux: interrupted")
	p.End(t, 1)
}

// TestOthersRights: no other user keeps apply waiting, or reads what maps hold.
func TestOthersRights(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	mustExit(t, 0, "apply", "-f", write(t, "state.yaml", "interfaces: [{name: "+v.Name+", programs: [{name: a, object: "+object(t, "xdp_pass")+"}]}]"))
	record := fmt.Sprintf("/run/xdpmux/%d.json", harness.Status(t, v.Name).Programs[0].ID)
	for _, path := range []string{"/run/xdpmux/lock", record} {
		if _, err := os.Stat(path); err != nil {
			t.Fatal(err)
		}
		if _, stderr, status := harness.Run(t, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", path); status == 0 || !strings.Contains(stderr, "ermission denied") {
			t.Errorf("nobody reads %s: %s", path, stderr)
		}
	}
	mustExit(t, 0, "unload", "-a", v.Name)
}

// TestComeAndGo: interfaces that come and go meanwhile are no fault of a state that names
// others, or a pattern.
func TestComeAndGo(t *testing.T) {
	harness.NoLeak(t)
	harness.InNetns(t, func() {
		v := harness.NewVeth(t)
		for range 40 { // so that a dump takes several messages
			harness.NewVeth(t)
		}
		stop := make(chan struct{})
		var group sync.WaitGroup
		handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			t.Fatal(err)
		}
		defer handle.Close()
		group.Add(1)
		go func() {
			defer group.Done()
			dummy := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: v.Name[:3] + "dummy"}}
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := errors.Join(handle.LinkAdd(dummy), handle.LinkDel(dummy)); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		defer group.Wait()
		defer close(stop)
		state := &desired.State{Interfaces: []desired.Interface{{Name: v.Name[:3] + "d*"}}}
		for i := range 100 {
			plans, err := state.Plan(t.Context(), desired.Options{})
			if err != nil {
				t.Fatalf("plan: %v", err)
			}
			for _, p := range plans {
				if p.Err != nil {
					t.Fatalf("plan of %s: %v", p.Interface.Name, p.Err)
				}
			}
			if i%20 > 0 { // asks for each interface
				continue
			}
			if _, _, err := desired.Export(t.Context()); err != nil {
				t.Fatalf("export: %v", err)
			}
		}
		none := &desired.State{Interfaces: []desired.Interface{{Name: "absent"}}}
		if plans, err := none.Plan(t.Context(), desired.Options{}); err != nil || len(plans) != 1 || !errors.Is(plans[0].Err, xdp.ErrNoInterface) {
			t.Errorf("an interface that is named and isn't there: %v, %v", plans, err)
		}
	})
}
