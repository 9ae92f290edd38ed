package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/fleet"
)

// survey is how the nodes of a chain stand to what its spec asks for.
type survey struct {
	updated, confirmed int
	unavailable        int // have it, and haven't confirmed it or aren't ready
	waiting            string
	failed             *fleet.Failure // the first; nil: none
	broken             string         // the first node on which it fails, of whichever generation; empty: none
}

func (d *decider) survey(c *chain) (s survey) {
	for _, n := range c.nodes {
		h := n.handOut(c.Chain)
		if h == nil || h.Revision != c.Content.Revision {
			continue
		}
		s.updated++
		confirmed := n.confirmed(h)
		if confirmed {
			s.confirmed++
		}
		if confirmed && n.Ready {
			continue
		}
		s.unavailable++
		s.waiting = cmp.Or(s.waiting, n.Name)
		why := n.failure(h, d.now)
		switch {
		case why != "":
			s.broken = cmp.Or(s.broken, fmt.Sprintf("node %s: %s", n.Name, why))
			if s.failed == nil && h.Generation == c.Content.Generation {
				s.failed = &fleet.Failure{Generation: h.Generation, Revision: h.Revision, Node: n.Name, Reason: why}
			}
		case !confirmed:
			d.again(deadline(h))
		}
	}
	return s
}

// again has the next decision made at a time, if nothing happens before.
func (d *decider) again(at time.Time) {
	if d.Again.IsZero() || at.Before(d.Again) {
		d.Again = at
	}
}

func textOf(f *fleet.Failure) string { return fmt.Sprintf("node %s: %s", f.Node, f.Reason) }

// takeBack gives each node the stable content instead of one that has failed. Nobody tries it again:
// a node would keep what has failed while it measures.
func (d *decider) takeBack(c *chain) {
	blocked := ""
	var stable fleet.Content
	if c.status.Stable != nil {
		stable = *c.status.Stable
		stable.GuardDrops = nil
	}
	for _, n := range c.nodes {
		h := n.handOut(c.Chain)
		switch {
		case c.status.Stable == nil:
			d.take(c, n)
		case h == nil || h.Revision != stable.Revision:
			blocked = cmp.Or(blocked, d.handOut(c, n, stable))
		}
	}
	if blocked != "" {
		c.say(RolledOut, false, "TakingBack", textOf(c.status.Failed)+"; "+blocked)
		return
	}
	c.say(RolledOut, false, "TakenBack", textOf(c.status.Failed))
}

// keep gives nodes the stable content that have another one: they are new, or they were away.
func (d *decider) keep(c *chain, s survey) {
	blocked := ""
	for _, n := range c.nodes {
		if h := n.handOut(c.Chain); h == nil || h.Revision != c.Content.Revision {
			blocked = cmp.Or(blocked, d.handOut(c, n, c.Content))
		}
	}
	content := c.Content
	c.status.Stable = &content
	text := fmt.Sprintf("%d of %d nodes have confirmed it", s.confirmed, len(c.nodes))
	if also := cmp.Or(s.broken, blocked); also != "" {
		text += "; " + also
	}
	c.say(RolledOut, true, "Complete", text)
}

// step hands the content out to as many nodes as may try it.
func (d *decider) step(c *chain, s survey) {
	blocked := ""
	give := func(n *Node, content fleet.Content) {
		blocked = cmp.Or(blocked, d.handOut(c, n, content))
	}
	var next []*Node
	for _, n := range c.nodes {
		switch h := n.handOut(c.Chain); {
		case h == nil && c.status.Stable != nil:
			give(n, *c.status.Stable)
		case h != nil && h.Revision == c.Content.Revision:
			if h.Generation < c.Content.Generation && n.failure(h, d.now) != "" && !c.Pause {
				give(n, c.Content) // its place is taken already
			}
		case n.Ready:
			next = append(next, n)
		}
	}
	if len(next) == 0 && s.unavailable == 0 && s.confirmed > 0 {
		content := c.Content
		c.status.Stable = &content // and next time the others get it
		c.say(RolledOut, false, "Progressing", "all nodes that are ready have confirmed it")
		return
	}
	text := fmt.Sprintf("%d of %d nodes have confirmed it", s.confirmed, len(c.nodes))
	if c.Pause {
		c.say(RolledOut, false, "Paused", text)
		return
	}
	for _, n := range next[:min(len(next), max(0, c.Max.Of(len(c.nodes))-s.unavailable))] {
		give(n, c.Content)
	}
	switch {
	case blocked != "":
		text += "; " + blocked
	case s.waiting != "":
		text += "; waiting for node " + s.waiting
	}
	c.say(RolledOut, false, "Progressing", text)
}

// The conditions of an XDPChain.
const (
	RolledOut  = "RolledOut"  // all nodes that are ready have confirmed what the spec asks for
	Conflicted = "Conflicted" // another chain names one of its interfaces
)

// say sets a condition. Its time is set where its status changes.
func (c *chain) say(kind string, holds bool, reason, message string) {
	status := "False"
	if holds {
		status = "True"
	}
	c.status.Conditions = SetCondition(c.status.Conditions, fleet.Condition{Type: kind, Status: status, Reason: reason, Message: message,
		ObservedGeneration: c.Content.Generation, LastTransitionTime: c.now})
}

// SetCondition returns conditions, in which c stands for the one of its type. The time stays where
// the status does.
func SetCondition(all []fleet.Condition, c fleet.Condition) []fleet.Condition {
	all = slices.Clone(all)
	for i, old := range all {
		if old.Type == c.Type {
			if old.Status == c.Status {
				c.LastTransitionTime = old.LastTransitionTime
			}
			all[i] = c
			return all
		}
	}
	return append(all, c)
}
