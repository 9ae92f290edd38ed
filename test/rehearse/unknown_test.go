package rehearse

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/rehearse"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestUnknown names the programs that can't be copied.
func TestUnknown(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	copied := filepath.Join(t.TempDir(), "pass.o")
	data, err := os.ReadFile(harness.Sample("xdp_pass"))
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(copied, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(data)
	pass := attach(t, v.Name, xdp.Program{File: copied})[0]
	harness.MustRun(t, "xdp-loader", "load", v.Name, object(harness.Sample("xdp_drop")))
	foreign, err := harness.Status(t, v.Name).Find("xdp_drop")
	if err != nil {
		t.Fatal(err)
	}
	remove := rehearse.Change{Transaction: dispatcher.Transaction{Mode: xdp.ModeUnspecified, Remove: []uint32{pass.ID}}}
	refused := func(want ...string) {
		t.Helper()
		state := harness.Snapshot(t)
		r, err := rehearse.Open(t.Context(), v.Name, remove)
		if err == nil {
			r.Close()
		}
		for _, want := range want {
			if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, xdp.ErrObject) {
				t.Errorf("%v, want: %s", err, want)
			}
		}
		state.Check(t)
	}
	unknown := "nobody knows what " + foreign.Loaded.String() + " was loaded from"
	refused(unknown)
	other, err := os.ReadFile(harness.Fixture("policy"))
	if err != nil {
		t.Fatal(err)
	}
	write(other)
	refused(unknown, pass.Loaded.String()+" can't be copied")
	remove.LoadedFrom = map[uint32]xdp.Program{foreign.ID: {File: object(harness.Sample("xdp_drop"))}}
	refused(pass.Loaded.String() + " can't be copied")
	if err := os.Remove(copied); err != nil {
		t.Fatal(err)
	}
	refused("can't open " + copied)
	write(data)
	r := open(t, v.Name, remove)
	if got := say(t, r, packet(0, 0)); got != "XDP_DROP by xdp_drop, XDP_DROP by xdp_drop" {
		t.Error(got)
	}
}

// TestObjectOfChange copies a program of another tool from the object that the change loads.
func TestObjectOfChange(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	harness.MustRun(t, "xdp-loader", "load", v.Name, object(harness.Sample("xdp_drop_ipv6")))
	r := open(t, v.Name, rehearse.Change{Transaction: dispatcher.Transaction{Add: []xdp.Program{{File: object(harness.Sample("xdp_drop_ipv6")), Priority: xdp.Prio(99)}}}})
	if got := say(t, r, harness.UDP6(harness.Flow{})); got != "XDP_DROP by xdp_drop_ipv6, XDP_DROP by xdp_drop_ipv6" {
		t.Error(got)
	}
}

// TestNothingChanges runs nothing where the chain is as it would be.
func TestNothingChanges(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	id := attach(t, v.Name, fixture("policy"))[0].ID
	for name, tx := range map[string]dispatcher.Transaction{
		"empty":        {},
		"as it is now": {Set: []dispatcher.Setting{{ID: id, Priority: xdp.Prio(50)}}},
	} {
		r := open(t, v.Name, rehearse.Change{Transaction: tx})
		if r.Changed || r.MaxLen() != 0 {
			t.Errorf("%s: something would change", name)
		}
		if _, err := r.Run(packet(0, 0)); !errors.Is(err, xdp.ErrInvalid) {
			t.Errorf("%s: a packet ran: %v", name, err)
		}
	}
}

// TestLegacyAndLone rehearses what has no dispatcher, and chains of one.
func TestLegacyAndLone(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	policy := rehearse.Change{Transaction: dispatcher.Transaction{Add: []xdp.Program{fixture("policy")}}}
	r := open(t, v.Name, policy)
	if got := say(t, r, packet(inArray, 1)); got != "XDP_PASS by nobody, XDP_ABORTED by policy" {
		t.Error(got)
	}
	if len(r.Before) != 0 || len(r.After) != 1 || r.After[0].ID != 0 || r.After[0].Name != "policy" {
		t.Errorf("before %+v, after %+v", r.Before, r.After)
	}
	if _, stderr, status := harness.RunEnv(t, []string{"LIBXDP_SKIP_DISPATCHER=1"}, harness.Xdpmux(), "load", v.Name, object(harness.Sample("xdp_drop"))); status != 0 {
		t.Fatal(stderr)
	}
	chain := harness.Status(t, v.Name)
	if chain.Legacy == nil {
		t.Fatalf("no legacy program: %+v", chain)
	}
	from := map[uint32]xdp.Program{chain.Legacy.ID: {File: object(harness.Sample("xdp_drop"))}}
	for _, change := range []rehearse.Change{
		{Empty: true, LoadedFrom: from},
		{Transaction: dispatcher.Transaction{Mode: xdp.ModeUnspecified, Remove: []uint32{chain.Legacy.ID}}, LoadedFrom: from},
	} {
		if got := say(t, open(t, v.Name, change), packet(0, 0)); got != "XDP_DROP by xdp_drop, XDP_PASS by nobody" {
			t.Error(got)
		}
	}
	if _, err := rehearse.Open(t.Context(), v.Name, policy); !errors.Is(err, xdp.ErrLegacy) {
		t.Errorf("beside a legacy program: %v", err)
	}
}

// TestDeviceBound refuses a chain that can't be test-run, and one that would become such.
func TestDeviceBound(t *testing.T) {
	harness.NoLeak(t)
	if harness.KernelBefore(t, "6.3") {
		return // no chain is bound
	}
	v := harness.NewVeth(t)
	refused := func(what string, change rehearse.Change, says string) {
		t.Helper()
		_, err := rehearse.Open(t.Context(), v.Name, change)
		if !errors.Is(err, xdp.ErrModeNotSupported) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", what, err)
		}
	}
	asks := xdp.Program{File: object(harness.Fixture("metadata")), Name: "ask_hash"}
	refused("a program that asks for metadata", rehearse.Change{Transaction: dispatcher.Transaction{Add: []xdp.Program{asks}}},
		"the kernel test-runs no program that is bound to a device")
	attach(t, v.Name, asks)
	refused("a bound chain", rehearse.Change{Empty: true}, "is bound to its device")
	if _, err := observe.OpenReplay(t.Context(), v.Name, observe.AtChain); !errors.Is(err, xdp.ErrModeNotSupported) {
		t.Errorf("a replay: %v", err)
	}
	if err := dispatcher.DetachAll(t.Context(), v.Name, dispatcher.DetachOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestAdopted rehearses that a program without a dispatcher is taken into a chain: it goes on
// with its maps there.
func TestAdopted(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	policy := object(harness.Fixture("policy")) + "@name=policy"
	if _, stderr, status := harness.RunEnv(t, []string{"LIBXDP_SKIP_DISPATCHER=1"}, harness.Xdpmux(), "load", v.Name, policy); status != 0 {
		t.Fatal(stderr)
	}
	set(t, harness.Status(t, v.Name).Legacy.ID, "in_hash", uint32(5), uint32(xdp.Drop))
	pcap := harness.WritePcap(t, layers.LinkTypeEthernet, packet(inHash, 5), packet(inHash, 6), packet(inLPM, 0))
	for _, adopt := range []string{"--adopt", "--adopt=" + policy} {
		stdout, _ := exits(t, 2, "load", v.Name, object(harness.Fixture("policy"))+"@name=note,prio=99", adopt, "--dry-run", "--pcap", pcap)
		want := v.Name + `: 2 of 3 packets would meet something else

Packets  Before              After               Bytes
1        XDP_DROP by policy  XDP_DROP by policy  same
2        XDP_PASS by policy  XDP_PASS by note    differ
`
		if !strings.Contains(stdout, want) {
			t.Errorf("%s:\n%s\nwant:\n%s", adopt, stdout, want)
		}
	}
	if harness.Status(t, v.Name).Legacy == nil {
		t.Error("it was adopted")
	}
}
