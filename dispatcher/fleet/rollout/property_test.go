package rollout

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/xdpmux/xdpmux/dispatcher/fleet"
)

// TestRules lets everything happen in any order: specs change, nodes answer, are away and are
// silent, leaders are killed between any two writes. Whatever has happened, what is decided keeps
// to the rules of the package.
func TestRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(rapid.IntRange(1, 6).Draw(t, "nodes"))
		contents := []string{"eth0 v1", "eth0 v2", "eth* v3", "eth1 v1", "eth1 eth0 v4", "eth2 v5"}
		pick := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(t, what) }
		uids := 0
		actions := []func(){
			func() { // a chain comes, or is edited
				content := contents[pick(len(contents), "content")]
				name := string(rune('a' + pick(3, "chain")))
				for _, c := range w.chains {
					if c.Name == name {
						c.edit(content)
						return
					}
				}
				uids++
				c := newChain(name, content, pick(4, "max"))
				c.UID = fmt.Sprint(uids)
				w.chains = append(w.chains, c)
			},
			func() { // a chain goes
				if len(w.chains) > 0 {
					i := pick(len(w.chains), "chain")
					w.chains = slices.Delete(w.chains, i, i+1)
				}
			},
			func() { // rollout or selector change
				if len(w.chains) > 0 {
					c := w.chains[pick(len(w.chains), "chain")]
					c.Content.Generation++
					c.Pause = rapid.Bool().Draw(t, "pause")
					c.Selector.MatchLabels = nil
					if rapid.Bool().Draw(t, "selects") {
						c.Selector.MatchLabels = map[string]string{"pool": "a"}
					}
				}
			},
			func() {
				n := w.nodes[pick(len(w.nodes), "node")]
				n.Ready = !n.Ready
			},
			func() {
				n := w.nodes[pick(len(w.nodes), "node")]
				n.Labels = map[string]string{"pool": string(rune('a' + pick(2, "pool")))}
			},
			func() { w.now = w.now.Add(time.Duration(pick(4, "minutes")) * time.Minute) },
			func() { // nodes answer
				n := w.nodes[pick(len(w.nodes), "node")]
				n.answer(func(fleet.HandOut) fleet.Outcome {
					return []fleet.Outcome{fleet.Confirmed, fleet.Confirmed, fleet.Confirmed, fleet.Trying, fleet.TakenBack, fleet.Failed}[pick(6, "outcome")]
				})
			},
			func() {
				d := w.decide()
				w.check(t, d)
				killed := rapid.Bool().Draw(t, "killed")
				w.write(d, func() bool { return !killed || rapid.Bool().Draw(t, "written") })
			},
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			actions[pick(len(actions), "action")]()
		}
		// Nothing happens any more: soon nothing is to be written.
		for i := 0; w.write(w.decide(), nil); i++ {
			if i == 6 {
				t.Fatalf("it writes on and on: %s", w)
			}
			w.check(t, w.decide())
		}
	})
}

// check holds a decision to the rules.
func (w *world) check(t *rapid.T, d Decision) {
	t.Helper()
	for _, n := range w.nodes {
		after, changes := d.Nodes[n.Name]
		if !changes {
			after = n.HandOuts
		}
		for i, h := range after {
			for _, o := range after[:i] {
				if name := overlap(h.Interfaces, o.Interfaces); name != "" {
					t.Fatalf("%s gets %s from %s and %s", n.Name, name, h.Chain, o.Chain)
				}
			}
		}
	}
	for _, c := range w.chains {
		before, after := 0, 0 // nodes that have the content of the spec, and haven't confirmed it
		var news []string     // nodes that are to get it
		chosen := 0
		for _, n := range w.nodes {
			if !c.Selector.Matches(n.Labels) {
				if all, changes := d.Nodes[n.Name]; changes && slices.ContainsFunc(all, func(h fleet.HandOut) bool { return h.Chain == c.Name }) {
					t.Fatalf("%s isn't chosen by %s", n.Name, c.Name)
				}
				continue
			}
			chosen++
			old := n.handOut(c)
			now := old
			if all, changes := d.Nodes[n.Name]; changes {
				now = (&Node{HandOuts: all}).handOut(c)
			}
			tries := func(h *fleet.HandOut) bool { return h != nil && h.Revision == c.Content.Revision && !n.confirmed(h) }
			if tries(old) {
				before++
			}
			if tries(now) {
				after++
			}
			if now == nil || old != nil && now.Revision == old.Revision && now.Generation == old.Generation {
				continue
			}
			stable := c.Status.Stable
			switch {
			case stable != nil && now.Revision == stable.Revision:
			case now.Revision == c.Content.Revision:
				news = append(news, n.Name)
				if !n.Ready && (old == nil || old.Revision != now.Revision) {
					t.Fatalf("%s isn't ready and gets %s", n.Name, now.Revision)
				}
			default:
				t.Fatalf("%s gets %s, which is neither stable nor asked for", n.Name, now.Revision)
			}
		}
		if s := c.Status.Stable; s != nil && s.Revision == c.Content.Revision {
			continue
		}
		if after > before && after > c.Max.Of(chosen) {
			t.Fatalf("%s: %d of %d nodes try it at once: %v", c.Name, after, chosen, w)
		}
		failed := c.Status.Failed != nil && c.Status.Failed.Generation == c.Content.Generation
		if len(news) > 0 && (failed || c.Pause || c.Invalid != "") {
			t.Fatalf("%s: %v get it, although failed: %t, paused: %t", c.Name, news, failed, c.Pause)
		}
		if s := d.Chains[c.Name].Stable; s != nil && s.Revision == c.Content.Revision && (before > 0 || after > 0) {
			t.Fatalf("%s is stable while %d nodes try it", c.Name, before)
		}
	}
}

// TestEnds: on nodes that answer, a change is on all of them, or it failed on one that fails, and
// then no more nodes have ever had it than those before that one and the others that tried it at
// the same time. It takes no more steps than nodes.
func TestEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, most := rapid.IntRange(1, 12).Draw(t, "nodes"), rapid.IntRange(1, 4).Draw(t, "max")
		bad := rapid.SliceOfDistinct(rapid.IntRange(0, n-1), rapid.ID).Draw(t, "bad")
		c := newChain("edge", "eth0 v1", most)
		w := newWorld(n, c)
		first := rapid.Bool().Draw(t, "first")
		if !first {
			w.settle(t, allIsWell)
		}
		c.edit("eth0 v2")
		w.settle(t, func(node *Node, h fleet.HandOut) fleet.Outcome {
			for _, i := range bad {
				if h.Revision == "eth0 v2" && node == w.nodes[i] {
					return fleet.TakenBack
				}
			}
			return fleet.Confirmed
		})
		want, ever := "eth0 v2", n
		if len(bad) > 0 {
			want, ever = "eth0 v1", min(n, slices.Min(bad)+most)
		}
		for _, node := range w.nodes {
			switch {
			case len(bad) > 0 && first:
				if len(node.HandOuts) > 0 {
					t.Fatalf("%s still has something: %s", node.Name, w)
				}
			case len(node.HandOuts) != 1 || node.HandOuts[0].Revision != want:
				t.Fatalf("%s doesn't have %s: %s", node.Name, want, w)
			}
		}
		if got := len(w.given["eth0 v2"]); got > ever || len(bad) == 0 && got != n {
			t.Fatalf("%d nodes ever had it, want at most %d", got, ever)
		}
	})
}
