package kube

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/agent"
	"github.com/xdpmux/xdpmux/dispatcher/fleet"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func handOut(chain, interfaces string, confirm int, drops *int) fleet.HandOut {
	return fleet.HandOut{Chain: chain, UID: chain, Content: fleet.Content{Generation: 2, Revision: "r", Interfaces: fleet.Interfaces(interfaces), Confirm: confirm, GuardDrops: drops, GuardBefore: confirm / 2}}
}

const eth0, eth1 = `[{"name":"eth0","programs":[{"name":"a","object":"/a.o"}]}]`, `[{"name":"eth1"}]`

// TestTake: what can't be used leaves what was there before, and of all chains the most cautious
// says how a change is tried. It is found again by the next process.
func TestTake(t *testing.T) {
	five, ten := 5, 10
	before := take(t.Context(), nil, []fleet.HandOut{handOut("a", eth0, 60, &ten), handOut("b", eth1, 30, &five)})
	newer := handOut("a", `[{"name":"eth0","flavor":"sweet"}]`, 1, nil)
	all := take(t.Context(), before, []fleet.HandOut{newer, handOut("b", eth1, 30, &five), handOut("c", "{}", 1, nil)})
	dir := t.TempDir()
	if err := keep(dir, all); err != nil {
		t.Fatal(err)
	}
	files := func() string {
		names, err := filepath.Glob(dir + "/[a-z]*.json")
		var all string
		for _, name := range names {
			text, readErr := os.ReadFile(name)
			err = errors.Join(err, readErr)
			all += filepath.Base(name) + " " + string(text) + "\n"
		}
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	const trial, a, b = `fleet.json {"confirm":60,"guard-drops":5,"guard-before":30,"interfaces":[]}`,
		`chain-a.json {"interfaces":[{"name":"eth0","programs":[{"name":"a","object":"/a.o"}]}]}`, `chain-b.json {"interfaces":[{"name":"eth1"}]}`
	if want := a + "\n" + b + "\n" + trial + "\n"; files() != want {
		t.Errorf("got\n%s\nwant\n%s", files(), want)
	}
	again, err := recall(dir)
	if err != nil || len(again) != 3 {
		t.Fatal(again, err)
	}
	status := agent.Status{Read: true, Interfaces: []agent.Interface{{Interface: xdp.Interface{Name: "eth0"}, Condition: agent.AsDeclared, Running: 1}}}
	for i, want := range []fleet.Report{
		{Chain: "a", Generation: 2, Revision: "r", Outcome: fleet.Failed, Reason: `XDPChain a:1:31: unknown key "flavor"`},
		{Chain: "b", Generation: 2, Revision: "r", Outcome: fleet.Confirmed, Reason: "there is no interface eth1"},
		{Chain: "c", Generation: 2, Revision: "r", Outcome: fleet.Failed, Reason: "XDPChain c:1:15: a list is wanted here, and this is an object"},
	} {
		if got := again[i].report(status); got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	// What isn't handed out any more has no file.
	if err := keep(dir, all[:1]); err != nil {
		t.Fatal(err)
	}
	if want := a + "\n" + `fleet.json {"confirm":60,"guard-drops":10,"guard-before":30,"interfaces":[]}` + "\n"; files() != want {
		t.Errorf("got\n%s\nwant\n%s", files(), want)
	}
}

// TestReport: of several interfaces the worst counts.
func TestReport(t *testing.T) {
	of := take(t.Context(), nil, []fleet.HandOut{handOut("a", `[{"name":"eth*"}]`, 1, nil)})
	is := func(name string, c agent.Condition, why string) agent.Interface {
		return agent.Interface{Interface: xdp.Interface{Name: name}, Condition: c, Why: why}
	}
	for _, c := range []struct {
		status  agent.Status
		outcome fleet.Outcome
		reason  string
		ready   string
	}{
		{agent.Status{Read: true, Interfaces: []agent.Interface{is("eth0", agent.AsDeclared, ""), is("lo", agent.Failed, "x")}}, fleet.Confirmed, "", "AsHandedOut"},
		{agent.Status{}, fleet.Trying, "", "Trying"},
		{agent.Status{Read: true, Interfaces: []agent.Interface{is("eth0", agent.AsDeclared, ""), is("eth1", agent.Trying, "")}}, fleet.Trying, "", "Trying"},
		{agent.Status{Read: true, Interfaces: []agent.Interface{is("eth0", agent.TakenBack, "it drops"), is("eth1", agent.Trying, "")}}, fleet.TakenBack, "eth0: it drops", "Failed"},
		{agent.Status{Read: true, Interfaces: []agent.Interface{is("eth0", agent.TakenBack, "it drops"), is("eth1", agent.Failed, "no object")}}, fleet.Failed, "eth1: no object", "Failed"},
		{agent.Status{Read: true, Interfaces: []agent.Interface{is("eth0", agent.Drifted, "")}}, fleet.Confirmed, "", "Drifted"},
		{agent.Status{Read: true, Unread: errors.New("no directory")}, fleet.Failed, "no directory", "Failed"},
		{agent.Status{Read: true, Late: []agent.Late{{Path: "/d/chain-a.json", Why: agent.ImagesComing}}}, fleet.Trying, "", "Trying"},
		{agent.Status{Read: true, Late: []agent.Late{{Path: "/d/chain-b.json", Why: agent.ImagesComing}}, Broken: []agent.File{{Path: "/d/chain-b.json", Err: errors.New("odd")}}}, fleet.Confirmed, "", "AsHandedOut"},
		{agent.Status{Read: true, Broken: []agent.File{{Path: "/d/chain-a.json", Err: errors.New("odd")}}}, fleet.Failed, "odd", "Failed"},
	} {
		r := of[0].report(c.status)
		says := report(nil, time.Now(), "m", "v", of, c.status)
		if r.Outcome != c.outcome || r.Reason != c.reason && c.outcome != fleet.Confirmed || says.Conditions[0].Reason != c.ready {
			t.Errorf("%+v: %+v %+v", c, r, says.Conditions)
		}
	}
}

// TestKeepFails: if a chain's file can't be written, that of the chain whose interface it gets stays.
func TestKeepFails(t *testing.T) {
	dir := t.TempDir()
	a, b := handOut("a", eth0, 60, nil), handOut("b", eth0, 60, nil)
	if err := keep(dir, take(t.Context(), nil, []fleet.HandOut{a})); err != nil {
		t.Fatal(err)
	}
	inTheWay := filepath.Join(dir, "chain-b.json")
	if err := os.Mkdir(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := keep(dir, take(t.Context(), nil, []fleet.HandOut{b})); err == nil {
		t.Error("a directory was written over")
	}
	if _, err := os.Stat(filepath.Join(dir, "chain-a.json")); err != nil {
		t.Error(err)
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	if err := keep(dir, take(t.Context(), nil, []fleet.HandOut{b})); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "chain-a.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file of a chain that is gone: %v", err)
	}
}
