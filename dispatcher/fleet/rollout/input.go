package rollout

import (
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/fleet"
)

// Chain is an XDPChain as the API server has it.
type Chain struct {
	Name, UID string
	Selector  fleet.Selector
	Content   fleet.Content // that the spec asks for; its Generation is the chain's
	Invalid   string        // why Content can't be used; empty: it can
	Max       fleet.Share   // maxUnavailable
	Pause     bool
	Status    fleet.ChainStatus
}

// Node is a node of the cluster with its XDPNode.
type Node struct {
	Name     string
	Labels   map[string]string
	Ready    bool // it can be expected to answer
	HandOuts []fleet.HandOut
	Reports  []fleet.Report
}

// Grace is how long a node may take to answer, beyond the times for which it measures and tries a change.
const Grace = 2 * time.Minute

// handOut is what a node has of a chain; nil: nothing.
func (n *Node) handOut(c *Chain) *fleet.HandOut {
	for i := range n.HandOuts {
		if h := &n.HandOuts[i]; h.Chain == c.Name && h.UID == c.UID {
			return h
		}
	}
	return nil
}

// report is what a node says of a hand-out; nil: nothing yet.
func (n *Node) report(h *fleet.HandOut) *fleet.Report {
	for i := range n.Reports {
		if r := &n.Reports[i]; r.Chain == h.Chain && r.Revision == h.Revision && r.Generation == h.Generation {
			return r
		}
	}
	return nil
}

func (n *Node) confirmed(h *fleet.HandOut) bool {
	r := n.report(h)
	return r != nil && r.Outcome == fleet.Confirmed
}

// failure is why a hand-out has failed on a node; empty: it hasn't.
func (n *Node) failure(h *fleet.HandOut, now time.Time) string {
	switch r := n.report(h); {
	case r != nil && r.Outcome == fleet.TakenBack:
		return "taken back: " + r.Reason
	case r != nil && r.Outcome == fleet.Failed:
		return r.Reason
	case r != nil && r.Outcome == fleet.Confirmed:
		return ""
	}
	if now.Before(deadline(h)) {
		return ""
	}
	return "no answer in " + deadline(h).Sub(h.At).String()
}

// deadline is when a node has to have confirmed a hand-out.
func deadline(h *fleet.HandOut) time.Time {
	measures := 0
	if h.GuardDrops != nil {
		measures = h.GuardBefore
	}
	return h.At.Add(time.Duration(measures+h.Confirm)*time.Second + Grace)
}

// overlap is an interface that both contents can name; empty: there is none.
func overlap(a, b fleet.Interfaces) string {
	for _, x := range a.Names() {
		for _, y := range b.Names() {
			if desired.Overlap(x, y) {
				return x
			}
		}
	}
	return ""
}
