package rehearse

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// live starts a rehearsal of what comes in, and returns once it captures on all interfaces.
func live(t *testing.T, interfaces int, args ...string) *harness.Process {
	t.Helper()
	p := harness.Start(t, harness.Xdpmux(), append(args, "--live", "1h", "--json")...)
	for interfaces > 0 {
		if line := p.Stderr.Line(t); strings.Contains(line, "captures what comes to") {
			interfaces--
		}
	}
	return p
}

// liveResult is what rehearsals print of an interface.
type liveResult struct {
	Interface               xdp.Interface
	Packets, Missed, Differ int
}

// results ends the capture by a signal.
func results(t *testing.T, p *harness.Process, status int) (all []liveResult) {
	t.Helper()
	p.Signal(t, syscall.SIGINT)
	p.End(t, status)
	if err := json.Unmarshal([]byte(p.Stdout.String()), &all); err != nil {
		t.Fatalf("%v\n%s", err, p.Stdout)
	}
	return all
}

// TestLive rehearses with what comes to chains of several lengths, and to none. Nothing that a
// chain drops is missing, and each packet is as it was before the chain's first program changed
// it. The chain stays as it is.
func TestLive(t *testing.T) {
	frames := [][]byte{
		harness.UDP4(harness.Flow{}), harness.UDP6(harness.Flow{SrcPort: 1}), harness.UDP6(harness.Flow{SrcPort: 2, VLAN: []uint16{7}}),
		harness.UDP6(harness.Flow{SrcPort: 3, PayloadLen: 1400}), harness.UDP4(harness.Flow{VLAN: []uint16{7}}),
	}
	six := [][]byte{frames[1], frames[3]} // what xdp_drop_ipv6 drops
	for _, programs := range []int{0, 1, 2, 10} {
		t.Run(fmt.Sprint(programs), func(t *testing.T) {
			harness.NoLeak(t)
			v := harness.NewVeth(t)
			drop := object(harness.Sample("xdp_drop_ipv6"))
			args := []string{"load", v.Name, drop, "--dry-run"}
			file := v.Name + "-XDP_PASS-XDP_DROP.pcapng"
			if programs > 0 {
				args = []string{"unload", v.Name, "--all", "--dry-run"}
				file = v.Name + "-XDP_DROP-XDP_PASS.pcapng"
				chain := []xdp.Program{{File: drop}}
				if programs > 1 {
					// It writes the packet's bytes to where they are seen by the next one.
					first := fixture("note")
					first.Priority = xdp.Prio(1)
					chain = append(chain, first)
				}
				for len(chain) < programs {
					chain = append(chain, xdp.Program{File: object(harness.Sample("xdp_pass"))})
				}
				attach(t, v.Name, chain...)
			}
			v.Deliver(t, frames[0]) // opens its sockets before the snapshot
			state := harness.Snapshot(t)
			out := filepath.Join(t.TempDir(), "out")
			p := live(t, 1, append(args, "--out", out)...)
			v.Deliver(t, frames...)
			all := results(t, p, 2)
			if len(all) != 1 || all[0].Packets != len(frames) || all[0].Missed != 0 || all[0].Differ < len(six) {
				t.Errorf("%+v", all)
			}
			got := harness.ReadPcapng(t, filepath.Join(out, file))
			if fmt.Sprintf("% x", got) != fmt.Sprintf("% x", six) {
				t.Errorf("written:\n% x\nsent:\n% x", got, six)
			}
			state.Check(t)
		})
	}
}

// TestLivePlan rehearses a state on two interfaces at once, each with its own packets. Another
// tool changes one of the chains meanwhile.
func TestLivePlan(t *testing.T) {
	harness.NoLeak(t)
	first, second := harness.NewVeth(t), harness.NewVeth(t)
	for _, v := range []*harness.Veth{first, second} {
		attach(t, v.Name, xdp.Program{File: object(harness.Sample("xdp_pass"))}, xdp.Program{File: object(harness.Sample("xdp_pass"))})
	}
	state := writeState(t, "interfaces: [{name: %s, programs: [{name: d, object: %[3]s}]}, {name: %[2]s, programs: [{name: d, object: %[3]s}]}]",
		first.Name, second.Name, object(harness.Sample("xdp_drop_ipv6")))
	p := live(t, 2, "plan", "-f", state)
	six := harness.UDP6(harness.Flow{})
	first.Deliver(t, six, six, six)
	second.Deliver(t, six, harness.UDP4(harness.Flow{}))
	harness.MustRun(t, "xdp-loader", "load", second.Name, harness.Sample("xdp_drop"))
	second.Deliver(t, six, six)
	all := results(t, p, 2)
	if len(all) != 2 || all[0].Packets != 3 || all[0].Differ != 3 || all[1].Packets+all[1].Missed != 4 || all[1].Packets < 2 {
		t.Errorf("%+v", all)
	}
}

// TestLiveBusy has a program come to an interface that had none, and the only one leave.
func TestLiveBusy(t *testing.T) {
	harness.NoLeak(t)
	empty, full := harness.NewVeth(t), harness.NewVeth(t)
	drop := object(harness.Sample("xdp_drop"))
	attach(t, full.Name, xdp.Program{File: drop})
	comes := live(t, 1, "load", empty.Name, drop, "--dry-run")
	leaves := live(t, 1, "load", full.Name, drop, "--dry-run")
	harness.MustRun(t, harness.Xdpmux(), "load", empty.Name, drop)
	harness.MustRun(t, harness.Xdpmux(), "unload", full.Name, "--all")
	for p, want := range map[*harness.Process]string{
		comes: "an XDP program has come to " + empty.Name, leaves: "the last XDP program has left " + full.Name,
	} {
		p.End(t, 1)
		if stderr := p.Stderr.String(); !strings.Contains(stderr, want+" while packets were captured") {
			t.Errorf("%s\nwant: %s", stderr, want)
		}
	}
}
