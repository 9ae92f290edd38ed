package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/fleet"
)

// Decision is what is to be written.
type Decision struct {
	// Chains are the statuses of all chains, by their names. They are to be written before
	// anything is handed out, as what nodes have reported is lost with their hand-outs.
	Chains map[string]fleet.ChainStatus

	// Nodes are the hand-outs of those nodes that get others than they have, by their names.
	Nodes map[string][]fleet.HandOut

	// Again is when to decide anew if nothing happens; zero: never.
	Again time.Time
}

// Decide says what follows from what the API server has.
func Decide(now time.Time, chains []Chain, nodes []Node) Decision {
	d := &decider{now: now, Decision: Decision{Chains: map[string]fleet.ChainStatus{}, Nodes: map[string][]fleet.HandOut{}}}
	for i := range nodes {
		d.nodes = append(d.nodes, &nodes[i])
	}
	slices.SortFunc(d.nodes, func(a, b *Node) int { return cmp.Compare(a.Name, b.Name) })
	for i := range chains {
		c := &chain{Chain: &chains[i], status: chains[i].Status, now: now.UTC().Format(time.RFC3339)}
		for _, n := range d.nodes {
			if c.Selector.Matches(n.Labels) {
				c.nodes = append(c.nodes, n)
			}
		}
		d.chains = append(d.chains, c)
	}
	slices.SortFunc(d.chains, func(a, b *chain) int { return cmp.Compare(a.Name, b.Name) })
	d.drop()
	d.findConflicts()
	for _, c := range d.chains {
		d.decide(c)
		d.Chains[c.Name] = c.status
	}
	return d.Decision
}

// decider is what Decide works on.
type decider struct {
	Decision
	now    time.Time
	chains []*chain
	nodes  []*Node
}

// chain is one with what Decide finds out about it.
type chain struct {
	*Chain
	nodes    []*Node // that it chooses, by their names
	conflict string  // with another chain; empty: there is none
	status   fleet.ChainStatus
	now      string
}

// has are the hand-outs that a node has, or is about to get.
func (d *decider) has(n *Node) []fleet.HandOut {
	if to, ok := d.Nodes[n.Name]; ok {
		return to
	}
	return n.HandOuts
}

// drop takes from nodes what no chain wants there any more.
func (d *decider) drop() {
	for _, n := range d.nodes {
		d.change(n, func(all []fleet.HandOut) []fleet.HandOut {
			return slices.DeleteFunc(all, func(h fleet.HandOut) bool {
				return !slices.ContainsFunc(d.chains, func(c *chain) bool {
					return c.Name == h.Chain && c.UID == h.UID && slices.Contains(c.nodes, n)
				})
			})
		})
	}
}

// change changes the hand-outs of a node.
func (d *decider) change(n *Node, how func([]fleet.HandOut) []fleet.HandOut) {
	before := d.has(n)
	if after := how(slices.Clone(before)); len(after) != len(before) {
		d.Nodes[n.Name] = after
	}
}

// findConflicts notes which chains name an interface of another one on the same node.
func (d *decider) findConflicts() {
	for i, a := range d.chains {
		for _, b := range d.chains[i+1:] {
			if a.Invalid != "" || b.Invalid != "" {
				continue
			}
			shared := slices.IndexFunc(a.nodes, func(n *Node) bool { return slices.Contains(b.nodes, n) })
			if shared < 0 {
				continue
			}
			if name := overlap(a.Content.Interfaces, b.Content.Interfaces); name != "" {
				const text = "%s %s also names the interface %s, for node %s"
				a.conflict = cmp.Or(a.conflict, fmt.Sprintf(text, fleet.ChainKind, b.Name, name, a.nodes[shared].Name))
				b.conflict = cmp.Or(b.conflict, fmt.Sprintf(text, fleet.ChainKind, a.Name, name, a.nodes[shared].Name))
			}
		}
	}
}

// handOut gives a node a content of a chain. It says why not; empty: it has.
func (d *decider) handOut(c *chain, n *Node, content fleet.Content) (why string) {
	all := slices.DeleteFunc(slices.Clone(d.has(n)), func(h fleet.HandOut) bool { return h.Chain == c.Name })
	for _, h := range all {
		if name := overlap(h.Interfaces, content.Interfaces); name != "" {
			return fmt.Sprintf("node %s still has the interface %s by %s %s", n.Name, name, fleet.ChainKind, h.Chain)
		}
	}
	all = append(all, fleet.HandOut{Chain: c.Name, UID: c.UID, At: d.now, Content: content})
	slices.SortFunc(all, func(a, b fleet.HandOut) int { return cmp.Compare(a.Chain, b.Chain) })
	d.Nodes[n.Name] = all
	return ""
}

// take takes from a node what it has of a chain.
func (d *decider) take(c *chain, n *Node) {
	d.change(n, func(all []fleet.HandOut) []fleet.HandOut {
		return slices.DeleteFunc(all, func(h fleet.HandOut) bool { return h.Chain == c.Name })
	})
}

// decide decides for one chain.
func (d *decider) decide(c *chain) {
	c.status.ObservedGeneration, c.status.Nodes, c.status.Updated, c.status.Confirmed = c.Content.Generation, len(c.nodes), 0, 0
	if c.status.Failed != nil && c.status.Failed.Generation != c.Content.Generation {
		c.status.Failed = nil
	}
	if c.Invalid != "" {
		c.say(RolledOut, false, "Invalid", c.Invalid)
		c.say(Conflicted, false, "NoConflict", "")
		return
	}
	s := d.survey(c)
	c.status.Updated, c.status.Confirmed = s.updated, s.confirmed
	c.say(Conflicted, c.conflict != "", map[bool]string{true: "InterfaceOfTwo", false: "NoConflict"}[c.conflict != ""], c.conflict)
	isStable := c.status.Stable != nil && c.status.Stable.Revision == c.Content.Revision
	switch {
	case !isStable && c.status.Failed != nil:
		d.takeBack(c)
	case !isStable && s.failed != nil:
		c.status.Failed = s.failed // and next time it is taken back
		c.say(RolledOut, false, "TakingBack", textOf(s.failed))
	case c.conflict != "":
		c.say(RolledOut, false, "Conflict", c.conflict)
	case len(c.nodes) == 0:
		c.say(RolledOut, true, "NoNodes", "no node is chosen")
	case isStable:
		d.keep(c, s)
	default:
		d.step(c, s)
	}
}
