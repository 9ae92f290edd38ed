package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/fleet"
)

// TestSteps hands a content out one node after the other, and the next one too.
func TestSteps(t *testing.T) {
	c := newChain("edge", "eth0 v1", 1)
	w := newWorld(3, c)
	w.write(w.decide(), nil)
	w.want(t, "edge: Progressing (0 of 3 nodes have confirmed it)\nn00 eth0 v1\nn01 \nn02 \n")
	w.write(w.decide(), nil)
	w.want(t, "edge: Progressing (0 of 3 nodes have confirmed it; waiting for node n00)\nn00 eth0 v1\nn01 \nn02 \n")
	w.settle(t, allIsWell)
	w.want(t, "edge: Complete (3 of 3 nodes have confirmed it), stable: eth0 v1\nn00 eth0 v1\nn01 eth0 v1\nn02 eth0 v1\n")
	c.edit("eth0 v2")
	w.settle(t, allIsWell)
	w.want(t, "edge: Complete (3 of 3 nodes have confirmed it), stable: eth0 v2\nn00 eth0 v2\nn01 eth0 v2\nn02 eth0 v2\n")
}

// TestStops: the second node's guard fails, so the first gets back what it had, and the third
// never sees the content. A change of the spec tries it again, or goes back.
func TestStops(t *testing.T) {
	c, drops := newChain("edge", "eth0 v1", 1), 10
	c.Content.GuardDrops = &drops
	w := newWorld(3, c)
	w.settle(t, allIsWell)
	c.edit("eth0 v2")
	w.settle(t, failsOn("n01", "eth0 v2"))
	w.want(t, "edge: TakenBack (node n01: taken back: it drops), stable: eth0 v1\nn00 eth0 v1\nn01 eth0 v1\nn02 eth0 v1\n")
	if back, kept := w.nodes[0].HandOuts[0], w.nodes[2].HandOuts[0]; back.GuardDrops != nil || kept.GuardDrops != &drops {
		t.Errorf("n00 tries what it gets back, or n02 didn't try it: %v, %v", back.GuardDrops, kept.GuardDrops)
	}
	if w.given["eth0 v2"]["n02"] {
		t.Error("n02 got it")
	}
	c.edit("eth0 v2")
	w.settle(t, allIsWell)
	w.want(t, "edge: Complete (3 of 3 nodes have confirmed it), stable: eth0 v2\nn00 eth0 v2\nn01 eth0 v2\nn02 eth0 v2\n")
	c.edit("eth0 v3")
	w.settle(t, failsOn("n00", "eth0 v3"))
	c.edit("eth0 v2")
	w.settle(t, allIsWell)
	w.want(t, "edge: Complete (3 of 3 nodes have confirmed it), stable: eth0 v2\nn00 eth0 v2\nn01 eth0 v2\nn02 eth0 v2\n")
}

// TestFirstFails: where nothing is stable yet, nothing is left.
func TestFirstFails(t *testing.T) {
	w := newWorld(2, newChain("edge", "eth0 v1", 1))
	w.settle(t, failsOn("n01", "eth0 v1"))
	w.want(t, "edge: TakenBack (node n01: taken back: it drops)\nn00 \nn01 \n")
}

// TestDeadline: a node that measures first has longer.
func TestDeadline(t *testing.T) {
	drops := 10
	h := fleet.HandOut{Content: fleet.Content{Confirm: 60, GuardBefore: 30}}
	if got := deadline(&h).Sub(h.At); got != Grace+60*time.Second {
		t.Errorf("without a guard: %v", got)
	}
	h.GuardDrops = &drops
	if got := deadline(&h).Sub(h.At); got != Grace+90*time.Second {
		t.Errorf("with one: %v", got)
	}
}

// TestSilent: a node that says nothing in time has failed, and one that isn't ready is left out
// until it is.
func TestSilent(t *testing.T) {
	c := newChain("edge", "eth0 v1", 1)
	w := newWorld(3, c)
	w.settle(t, allIsWell)
	c.edit("eth0 v2")
	silent := func(n *Node, h fleet.HandOut) fleet.Outcome {
		if n.Name == "n01" && h.Revision == "eth0 v2" {
			return fleet.Trying
		}
		return fleet.Confirmed
	}
	w.settle(t, silent)
	w.want(t, "edge: Progressing (1 of 3 nodes have confirmed it; waiting for node n01), stable: eth0 v1\nn00 eth0 v2\nn01 eth0 v2\nn02 eth0 v1\n")
	again := w.decide().Again
	if want := w.now.Add(time.Minute + Grace); !again.Equal(want) {
		t.Errorf("it decides again at %v, want %v", again, want)
	}
	w.now = again
	w.settle(t, silent)
	w.want(t, "edge: TakenBack (node n01: no answer in 3m0s), stable: eth0 v1\nn00 eth0 v1\nn01 eth0 v1\nn02 eth0 v1\n")

	w.nodes[1].Ready = false
	c.edit("eth0 v2")
	w.settle(t, allIsWell)
	w.want(t, "edge: Complete (2 of 3 nodes have confirmed it), stable: eth0 v2\nn00 eth0 v2\nn01 eth0 v2\nn02 eth0 v2\n")
	w.nodes[1].Ready = true
	w.settle(t, allIsWell)
	w.want(t, "edge: Complete (3 of 3 nodes have confirmed it), stable: eth0 v2\nn00 eth0 v2\nn01 eth0 v2\nn02 eth0 v2\n")
}

// TestDies: a node that is gone after it has confirmed the change holds its place.
func TestDies(t *testing.T) {
	c := newChain("edge", "eth0 v1", 1)
	w := newWorld(3, c)
	w.settle(t, allIsWell)
	c.edit("eth0 v2")
	w.settle(t, func(n *Node, h fleet.HandOut) fleet.Outcome {
		if n.Name == "n00" && h.Revision == "eth0 v2" {
			n.Ready = false
		}
		return fleet.Confirmed
	})
	w.want(t, "edge: Progressing (1 of 3 nodes have confirmed it; waiting for node n00), stable: eth0 v1\nn00 eth0 v2\nn01 eth0 v1\nn02 eth0 v1\n")
}

// TestPause: what is under way ends, and nothing more begins.
func TestPause(t *testing.T) {
	c := newChain("edge", "eth0 v1", 1)
	w := newWorld(2, c)
	w.write(w.decide(), nil)
	c.Pause = true
	c.Content.Generation++
	w.settle(t, allIsWell)
	w.want(t, "edge: Paused (1 of 2 nodes have confirmed it)\nn00 eth0 v1\nn01 \n")
	c.Pause = false
	c.Content.Generation++
	w.settle(t, allIsWell)
	w.want(t, "edge: Complete (2 of 2 nodes have confirmed it), stable: eth0 v1\nn00 eth0 v1\nn01 eth0 v1\n")
}

// TestConflict: of two chains for one interface the first keeps what it has, and neither gets
// further until one of them gives way.
func TestConflict(t *testing.T) {
	a, b := newChain("a", "eth0 v1", 1), newChain("b", "eth* other", 1)
	w := newWorld(2, a)
	w.settle(t, allIsWell)
	w.chains = append(w.chains, b)
	a.edit("eth0 v2")
	w.settle(t, allIsWell)
	w.want(t, "a: Conflict (XDPChain b also names the interface eth0, for node n00), stable: eth0 v1\n"+
		"b: Conflict (XDPChain a also names the interface eth0, for node n00)\nn00 eth0 v1\nn01 eth0 v1\n")
	for _, c := range w.chains {
		if i := c.Status.Conditions[0]; i.Type != Conflicted || i.Status != "True" {
			t.Errorf("%s: %+v", c.Name, c.Status.Conditions)
		}
	}
	b.edit("lan* other")
	w.settle(t, allIsWell)
	w.want(t, "a: Complete (2 of 2 nodes have confirmed it), stable: eth0 v2\nb: Complete (2 of 2 nodes have confirmed it), stable: lan* other\n"+
		"n00 eth0 v2, lan* other\nn01 eth0 v2, lan* other\n")

	// On different nodes they don't meet.
	w.nodes[1].Labels = map[string]string{"pool": "b"}
	a.Selector.MatchLabels, b.Selector.MatchLabels = map[string]string{"pool": "a"}, map[string]string{"pool": "b"}
	b.edit("eth0 other")
	a.Content.Generation++
	w.settle(t, allIsWell)
	w.want(t, "a: Complete (1 of 1 nodes have confirmed it), stable: eth0 v2\nb: Complete (1 of 1 nodes have confirmed it), stable: eth0 other\n"+
		"n00 eth0 v2\nn01 eth0 other\n")
}

// TestGivesUpAnInterface: a chain that takes over an interface waits on each node until the other
// has left it there.
func TestGivesUpAnInterface(t *testing.T) {
	a, b := newChain("a", "eth0 eth1 v1", 1), newChain("b", "eth2 v1", 2)
	w := newWorld(2, a, b)
	w.settle(t, allIsWell)
	a.edit("eth0 v2")
	a.Pause = true
	b.edit("eth1 eth2 v2")
	w.settle(t, allIsWell)
	if s := w.String(); !strings.Contains(s, "b: Progressing (0 of 2 nodes have confirmed it; node n00 still has the interface eth1 by XDPChain a)") {
		t.Error(s)
	}
	a.Pause = false
	w.settle(t, allIsWell)
	w.want(t, "a: Complete (2 of 2 nodes have confirmed it), stable: eth0 v2\nb: Complete (2 of 2 nodes have confirmed it), stable: eth1 eth2 v2\n"+
		"n00 eth0 v2, eth1 eth2 v2\nn01 eth0 v2, eth1 eth2 v2\n")
}

// TestGoes: a chain that is deleted leaves the nodes, as does one that doesn't choose them any
// more, and one that was made anew under the same name is another.
func TestGoes(t *testing.T) {
	c := newChain("edge", "eth0 v1", 1)
	w := newWorld(2, c)
	w.settle(t, allIsWell)
	w.nodes[1].Labels = nil
	c.Selector.MatchLabels = map[string]string{"pool": "a"}
	w.settle(t, allIsWell)
	w.want(t, "edge: Complete (1 of 1 nodes have confirmed it), stable: eth0 v1\nn00 eth0 v1\nn01 \n")
	again := newChain("edge", "eth0 v1", 1)
	again.UID = "another"
	w.chains = []*Chain{again}
	w.write(w.decide(), nil)
	if h := w.nodes[0].HandOuts; len(h) != 1 || h[0].UID != "another" {
		t.Errorf("%+v", h)
	}
	w.chains = nil
	w.settle(t, allIsWell)
	w.want(t, "n00 \nn01 \n")
}

// TestInvalid: a spec that can't be used changes nothing.
func TestInvalid(t *testing.T) {
	c := newChain("edge", "eth0 v1", 1)
	w := newWorld(1, c)
	w.settle(t, allIsWell)
	c.edit("eth0 v2")
	c.Invalid = `unknown key "x"`
	w.settle(t, allIsWell)
	w.want(t, "edge: Invalid (unknown key \"x\"), stable: eth0 v1\nn00 eth0 v1\n")
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		text  string
		nodes int
		want  int
	}{{"1", 100, 1}, {"3", 100, 3}, {`"10%"`, 100, 10}, {`"10%"`, 19, 1}, {`"10%"`, 5, 1}, {`"100%"`, 5, 5}, {"0", 5, 1}, {`"5"`, 10, 5}} {
		var s fleet.Share
		if err := s.UnmarshalJSON([]byte(c.text)); err != nil || s.Of(c.nodes) != c.want {
			t.Errorf("%s of %d: %d, %v, want %d", c.text, c.nodes, s.Of(c.nodes), err, c.want)
		}
	}
	for _, bad := range []string{`"x"`, `"101%"`, "-1", "1.5", `"%"`} {
		if err := new(fleet.Share).UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
