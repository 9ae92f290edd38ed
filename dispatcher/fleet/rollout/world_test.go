package rollout

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/fleet"
)

// world is an API server and the nodes, which do what the test says.
type world struct {
	now    time.Time
	chains []*Chain
	nodes  []*Node
	given  map[string]map[string]bool // the nodes that ever got a content, by revision
}

// contents are texts such as "eth0 v1": interfaces, and a word for the rest.
func contentOf(text string) fleet.Content {
	var all []map[string]any
	words := strings.Fields(text)
	for _, name := range words[:len(words)-1] {
		all = append(all, map[string]any{"name": name, "programs": []any{map[string]any{"name": words[len(words)-1], "object": "/x.o"}}})
	}
	data, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return fleet.Content{Revision: text, Interfaces: data, Confirm: 60}
}

func newWorld(nodes int, chains ...*Chain) *world {
	w := &world{now: time.Unix(1e9, 0).UTC(), chains: chains, given: map[string]map[string]bool{}}
	for i := range nodes {
		w.nodes = append(w.nodes, &Node{Name: fmt.Sprintf("n%02d", i), Ready: true, Labels: map[string]string{"pool": "a"}})
	}
	return w
}

func newChain(name, content string, maxUnavailable int) *Chain {
	c := &Chain{Name: name, UID: "uid-" + name, Max: fleet.Share{Nodes: maxUnavailable}}
	c.edit(content)
	return c
}

// edit changes the content in the spec.
func (c *Chain) edit(content string) {
	generation := c.Content.Generation + 1
	c.Content = contentOf(content)
	c.Content.Generation = generation
}

func (w *world) decide() Decision {
	var chains []Chain
	for _, c := range w.chains {
		chains = append(chains, *c)
	}
	var nodes []Node
	for _, n := range w.nodes {
		nodes = append(nodes, *n)
	}
	return Decide(w.now, chains, nodes)
}

// write writes what was decided, and says whether that changes anything. only chooses what is
// written; nil: all. What isn't written of a chain keeps hand-outs from being written.
func (w *world) write(d Decision, only func() bool) (changed bool) {
	for _, c := range w.chains {
		if only != nil && !only() {
			return changed
		}
		changed = changed || text(c.Status) != text(d.Chains[c.Name])
		c.Status = d.Chains[c.Name]
	}
	for _, name := range slices.Sorted(maps.Keys(d.Nodes)) {
		if only != nil && !only() {
			continue
		}
		changed = true
		n := w.node(name)
		n.HandOuts = d.Nodes[name]
		for _, h := range n.HandOuts {
			if w.given[h.Revision] == nil {
				w.given[h.Revision] = map[string]bool{}
			}
			w.given[h.Revision][name] = true
		}
	}
	return changed
}

func text(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func (w *world) node(name string) *Node {
	return w.nodes[slices.IndexFunc(w.nodes, func(n *Node) bool { return n.Name == name })]
}

// answer has a node say how its hand-outs are. outcome is asked for those that aren't settled.
func (n *Node) answer(outcome func(h fleet.HandOut) fleet.Outcome) {
	var reports []fleet.Report
	for i := range n.HandOuts {
		h := n.HandOuts[i]
		r := fleet.Report{Chain: h.Chain, Generation: h.Generation, Revision: h.Revision}
		if old := n.report(&h); old != nil && old.Outcome != fleet.Trying {
			r = *old
		} else if r.Outcome = outcome(h); r.Outcome != fleet.Confirmed && r.Outcome != fleet.Trying {
			r.Reason = "it drops"
		}
		reports = append(reports, r)
	}
	n.Reports = reports
}

// settle decides and has nodes answer until nothing changes.
func (w *world) settle(t interface{ Fatalf(string, ...any) }, outcome func(*Node, fleet.HandOut) fleet.Outcome) {
	for range 1000 {
		changed := w.write(w.decide(), nil)
		for _, n := range w.nodes {
			if n.Ready {
				before := text(n.Reports)
				n.answer(func(h fleet.HandOut) fleet.Outcome { return outcome(n, h) })
				changed = changed || text(n.Reports) != before
			}
		}
		if !changed {
			return
		}
	}
	t.Fatalf("it doesn't settle: %s", w)
}

func allIsWell(*Node, fleet.HandOut) fleet.Outcome { return fleet.Confirmed }

// failsOn fails one content on one node.
func failsOn(node, revision string) func(*Node, fleet.HandOut) fleet.Outcome {
	return func(n *Node, h fleet.HandOut) fleet.Outcome {
		if n.Name == node && h.Revision == revision {
			return fleet.TakenBack
		}
		return fleet.Confirmed
	}
}

// String is what runs where, and what is said of the chains.
func (w *world) String() string {
	var b strings.Builder
	for _, c := range w.chains {
		fmt.Fprintf(&b, "%s:", c.Name)
		for _, said := range c.Status.Conditions {
			if said.Type == RolledOut {
				fmt.Fprintf(&b, " %s (%s)", said.Reason, said.Message)
			}
		}
		if s := c.Status.Stable; s != nil {
			fmt.Fprintf(&b, ", stable: %s", s.Revision)
		}
		b.WriteString("\n")
	}
	for _, n := range w.nodes {
		var has []string
		for _, h := range n.HandOuts {
			has = append(has, h.Revision)
		}
		fmt.Fprintf(&b, "%s %s\n", n.Name, strings.Join(has, ", "))
	}
	return b.String()
}

func (w *world) want(t *testing.T, want string) {
	t.Helper()
	if got := w.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
