package foreground

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

var socketExample = "../../build/examples/af_xdp"

// TestAFXDP has the example receive in a chain of one, two and ten programs: what the firewall
// before it passes, and nothing else. The firewall comes before the socket or after it, and
// other programs come and go meanwhile.
func TestAFXDP(t *testing.T) {
	filter := xdp.Program{File: harness.Sample("xdp_drop_ipv6"), Priority: xdp.Prio(10)}
	another := xdp.Program{File: pass}
	for _, c := range []struct {
		name          string
		mode          xdp.Mode
		before, after []xdp.Program // that are loaded before and after the socket is there
		sig           syscall.Signal
	}{
		{"alone", xdp.ModeNative, nil, nil, syscall.SIGINT},
		{"firewall first", xdp.ModeNative, []xdp.Program{filter}, nil, syscall.SIGTERM},
		{"socket first", xdp.ModeSKB, nil, []xdp.Program{filter}, syscall.SIGINT},
		{"ten", xdp.ModeSKB, append(slices.Repeat([]xdp.Program{another}, 5), filter), slices.Repeat([]xdp.Program{another}, 3), syscall.SIGTERM},
		{"ten, natively", xdp.ModeNative, append(slices.Repeat([]xdp.Program{another}, 5), filter), slices.Repeat([]xdp.Program{another}, 3), syscall.SIGTERM},
	} {
		t.Run(c.name, func(t *testing.T) {
			harness.NoLeak(t)
			v := harness.NewVeth(t)
			attach := func(programs []xdp.Program) {
				if len(programs) == 0 {
					return
				}
				if _, err := dispatcher.Attach(t.Context(), v.Name, programs, dispatcher.AttachOptions{Mode: c.mode}); err != nil {
					t.Fatal(err)
				}
			}
			attach(c.before)
			p := startExample(t, socketExample, "-mode", c.mode.String(), v.Name)
			attach(c.after)
			chain := harness.Status(t, v.Name)
			if got, err := chain.Find("xdp_socket"); err != nil || got.Priority != 20 || len(chain.Programs) != 1+len(c.before)+len(c.after) {
				t.Fatalf("%+v, %v, in a chain of %d", got, err, len(chain.Programs))
			}

			rounds := 20
			if len(chain.Programs) == 1 {
				rounds = 5000 / 32 // more packets than the socket has frames: these are used again
			}
			wanted := harness.UDP4(harness.Flow{PayloadLen: 100})
			frames := slices.Repeat([][]byte{wanted, harness.UDP6(harness.Flow{})}, 16)
			for range rounds {
				if passed := v.Deliver(t, frames...); len(passed) != 0 {
					t.Fatalf("%d packets got past the socket", len(passed))
				}
			}
			p.Stop(t, c.sig)
			packets, bytes := 16*rounds, 16*rounds*len(wanted)
			if len(chain.Programs) == 1 { // no firewall
				packets, bytes = 2*packets, bytes+16*rounds*len(frames[1])
			}
			lines := strings.Split(strings.TrimSpace(p.Stdout.String()), "\n")
			if got, want := lines[len(lines)-1], fmt.Sprintf("%d packets, %d bytes", packets, bytes); got != want || p.Stderr.String() != "" {
				t.Errorf("it says %q, want %q\n%s", got, want, p.Stderr)
			}
			left := slices.DeleteFunc(chain.Programs, func(p dispatcher.Component) bool { return p.Name == "xdp_socket" })
			if got := harness.Status(t, v.Name).Programs; !slices.Equal(got, left) {
				t.Errorf("left: %+v\nwant: %+v", got, left)
			}
			if len(left) > 0 {
				harness.MustRun(t, harness.Xdpmux(), "unload", "-a", v.Name)
			}
		})
	}
}

// TestAFXDPKilled: its program stays then, and passes what comes.
func TestAFXDPKilled(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	p := startExample(t, socketExample, v.Name)
	frames := slices.Repeat([][]byte{harness.UDP4(harness.Flow{})}, 16)
	if passed := v.Deliver(t, frames...); len(passed) != 0 {
		t.Errorf("%d packets got past the socket", len(passed))
	}
	p.Signal(t, syscall.SIGKILL)
	p.Wait(t)
	if !harness.Eventually(func() bool { return len(v.Deliver(t, frames...)) == len(frames) }) { // once the socket is gone
		t.Error("packets don't pass")
	}
	if got := harness.Programs(t, v); got != "xdp_socket" {
		t.Errorf("programs: %s", got)
	}
	harness.MustRun(t, harness.Xdpmux(), "unload", "-a", v.Name)
}
