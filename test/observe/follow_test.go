package observe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// While xdp-loader loads and unloads for a minute, a program that stays counts
// every packet once, nothing goes backwards and no load or unload fails.
func TestChurn(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stays := attach(t, v, step(0, xdp.Pass))[0]
	o := open(t, observe.Options{Latency: true}, v.Name)
	defer o.Close()

	frames := make([][]byte, 32)
	for i := range frames {
		frames[i] = harness.UDP4(harness.Flow{})
	}
	var sent uint64
	gone := map[uint32]bool{}
	last := map[string]observe.Counts{}
	check := func() {
		t.Helper()
		for _, p := range o.Read().Chains[0].Programs {
			key := fmt.Sprint(p.Role, " ", p.ID)
			if p.Role == observe.RoleDispatcher {
				key = string(p.Role)
			}
			before := last[key]
			for i := range p.Verdicts {
				if p.Verdicts[i] < before.Verdicts[i] {
					t.Fatalf("%s went backwards: %+v, then %+v", key, before, p.Counts)
				}
			}
			if p.HandedOn < before.HandedOn || p.Decided < before.Decided || p.HandedOn+p.Decided != p.Packets {
				t.Fatalf("%s: %+v, then %+v", key, before, p.Counts)
			}
			if p.Blind != nil {
				t.Fatalf("%s is not observed: %v", key, p.Blind)
			}
			last[key] = p.Counts
			if p.Gone {
				gone[p.ID] = true
			}
			if p.ID == stays.ID && (p.Packets != sent || p.Gone || p.Missed != 0) {
				t.Fatalf("the program that stays: %+v, gone %v, after %d packets", p.Counts, p.Gone, sent)
			}
		}
	}
	send := func() {
		v.Deliver(t, frames...)
		sent += uint64(len(frames))
		check()
	}
	loads := 0
	for end := time.Now().Add(time.Duration(harness.Scaled(60, 15)) * time.Second); loads < 9 || time.Now().Before(end); {
		for _, sample := range []string{"xdp_count", "xdp_drop_ipv6", "xdp_pass"} {
			harness.MustRun(t, "xdp-loader", "load", v.Name, samples+sample+".o")
			loads++
			send()
		}
		c := harness.Status(t, v.Name)
		if len(c.Programs) != 4 {
			t.Fatalf("got %+v", c)
		}
		for _, p := range c.Programs {
			if p.ID != stays.ID {
				harness.MustRun(t, "xdp-loader", "unload", v.Name, "-i", fmt.Sprint(p.ID))
				send()
			}
		}
	}
	if loads < 9 || len(gone) < loads-9 {
		t.Errorf("%d loads, and only %d programs were seen to leave", loads, len(gone))
	}
	t.Logf("%d loads and as many unloads, %d packets", loads, sent)
}

// A killed command leaves no probe behind, and the chain as it was.
func TestKill(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 2)
	v.Deliver(t, harness.UDP4(harness.Flow{})) // opens its sockets before the snapshot
	d := dispatcherOf(t, v)
	insns := func() []byte {
		t.Helper()
		i, err := libbpf.ProgInsns(d.Int())
		if err != nil || len(i) == 0 {
			t.Fatalf("instructions: %v", err)
		}
		return i
	}
	before, state := insns(), harness.Snapshot(t)
	for _, args := range [][]string{{"stats", v.Name, "--latency", "--interval", "50ms", "--json"}, {"trace", v.Name, "--live", "--json"}} {
		p := harness.Start(t, xdpmux, args...)
		// Live traffic until there is a line: then it is observing.
		p.Stdout.LineWhile(t, 20*time.Millisecond, func() { v.Deliver(t, harness.UDP4(harness.Flow{})) })
		if probes := strings.Join(state.Diff(harness.Snapshot(t)), "\n"); !strings.Contains(probes, "program") {
			t.Fatalf("%v: no probe in\n%s", args, probes)
		}
		if !bytes.Equal(before, insns()) {
			t.Error("the dispatcher's instructions changed while it was observed")
		}
		p.Signal(t, os.Kill)
		p.End(t, -1)
		state.Check(t)
	}
	if !bytes.Equal(before, insns()) {
		t.Error("the dispatcher's instructions changed")
	}
}

// What can't be observed is said, and leaves nothing attached.
func TestBadInput(t *testing.T) {
	harness.NoLeak(t)
	v, empty := harness.NewVeth(t), harness.NewVeth(t)
	stepsOn(t, v, 1)
	legacy := harness.NewVeth(t)
	legacy.Attach(t, harness.Program(t, harness.Pass), harness.Native) // without BTF
	state := harness.Snapshot(t)
	for _, c := range []struct{ args, want string }{
		{"stats nope0", `no interface "nope0"`},
		{"stats " + empty.Name, "no XDP program is loaded on " + empty.Name},
		{"top " + empty.Name, "top needs a terminal"},
		{"trace " + empty.Name + " --live", "no XDP program is loaded on " + empty.Name},
		{"stats " + v.Name + " --interval 0s", "is not a time of 10ms or more"},
		{"stats " + v.Name + " --listen nowhere", "is not an address to listen on"},
		{"trace " + v.Name + " --live --pcap nowhere", "--pcap and --live exclude each other"},
		{"trace " + v.Name + " --snaplen 4097", "snaplen 4097 is not a number from 1 to 4096"},
		{"trace " + v.Name + " --buffer 0", "buffer 0 is not a number from 1 to 1024"},
		{"trace " + v.Name + " --duration 1ms", `duration "1ms" is not a time of 10ms or more`},
		{"trace " + v.Name + " --at programs", "--at says what is captured, and nothing is written"},
		{"trace " + v.Name + " --at nowhere --write /nowhere", `"nowhere" is not a place where packets are captured`},
		{"trace " + v.Name + " --at arrival --pcap nowhere", "packets of a file don't arrive"},
		{"trace " + v.Name + " --at arrival --verdict DROP", "--verdict says how packets were decided, and those that arrive are not yet"},
		{"trace " + v.Name + " --json -w -", "both go to standard output"},
		{"trace " + v.Name + " --write /nowhere/file", "can't write /nowhere/file: no such file or directory"},
		{"trace " + v.Name + " --write /tmp/file --size 0", "size 0 is not a number from 1 to 1000000"},
		{"trace " + v.Name + ",nope0 --write /tmp/file --size 1", "--size goes with one interface"},
		{"trace " + v.Name + ",nope0", `no interface "nope0"`},
		{"trace " + v.Name + ",nope0 --pcap nowhere", "packets of a file go through the chain of one interface"},
		{"trace " + v.Name + " --print", "--print shows what --write FILE writes"},
		{"trace " + v.Name + " --write - --size 1", "--size begins another file, and none is written"},
		{"trace " + v.Name + " --write /tmp/file --files 3", "--files goes with --size"},
		{"trace " + v.Name + " --write /dev/null --size 1", "/dev/null is not a file"},
		{"trace " + v.Name + " --live --verdict XDP_NO", `unknown verdict "XDP_NO"`},
		{"trace " + v.Name + " --live --name other", `no program "other" in the chain`},
		{"trace " + v.Name + " --live --id 4294967295", "no program 4294967295 in the chain"},
		{"trace " + v.Name + " --live --id x", `"x" is not a program's id`},
		{"trace " + v.Name + " --live --id 1 --name other", "--id and --name exclude each other"},
		{"trace " + v.Name + " --live --count 0", `count "0" is not a number from 1 on`},
		{"trace " + v.Name + " --live --sample 2/3", "is not a part such as 1/100"},
		{"trace " + v.Name + " --live --out /tmp", "--out doesn't go with this kind of trace"},
		{"trace " + legacy.Name + " --live", "has no type information (BTF)"},
	} {
		stdout, stderr, status := harness.Run(t, xdpmux, strings.Fields(c.args)...)
		if status != 1 || !strings.Contains(stderr, c.want) || stdout != "" {
			t.Errorf("xdpmux %s: exit status %d\n%s%swant: %s", c.args, status, stdout, stderr, c.want)
		}
		state.Check(t)
	}

	// The program without BTF has its row, and the other interface its counts.
	out := harness.MustRun(t, xdpmux, "stats", v.Name, legacy.Name, "--json", "--count", "1", "--interval", "10ms")
	var got struct {
		Chains []struct {
			Programs []struct {
				Role        string
				NotObserved string `json:"not_observed"`
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if p := got.Chains[1].Programs[0]; p.Role != "legacy" || !strings.Contains(p.NotObserved, "BTF") {
		t.Errorf("legacy: %+v", p)
	}
	if p := got.Chains[0].Programs[1]; p.Role != "component" || p.NotObserved != "" {
		t.Errorf("component: %+v", p)
	}
}
