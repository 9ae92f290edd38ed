package kube

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/agent"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/fleet"
	"github.com/xdpmux/xdpmux/dispatcher/fleet/rollout"
)

// The conditions of an XDPNode.
const (
	ready = "Ready" // everything runs as it was handed out

	nameTaken = "NameTaken" // another machine calls itself so too
)

// report is what a node says of itself.
func report(before []fleet.Condition, now time.Time, machine, version string, all []taken, s agent.Status) fleet.NodeStatus {
	status := fleet.NodeStatus{Machine: machine, Version: version}
	for _, is := range s.Interfaces {
		status.Interfaces = append(status.Interfaces, fleet.NodeInterface{Name: is.Name, Condition: string(is.Condition), Why: is.Why, Declared: is.Declared, Running: is.Running})
		status.Programs += is.Running
		if is.Condition == agent.Drifted {
			status.Drifted++
		}
	}
	why, trying := "", false
	for _, t := range all {
		r := t.report(s)
		status.Chains = append(status.Chains, r)
		trying = trying || r.Outcome == fleet.Trying
		if r.Outcome == fleet.Failed || r.Outcome == fleet.TakenBack {
			why = cmp.Or(why, fmt.Sprintf("%s %s: %s", fleet.ChainKind, r.Chain, r.Reason))
		}
	}
	c := fleet.Condition{Type: ready, Status: "True", Reason: "AsHandedOut", LastTransitionTime: now.UTC().Format(time.RFC3339)}
	switch {
	case why != "":
		c.Status, c.Reason, c.Message = "False", "Failed", why
	case trying:
		c.Status, c.Reason = "False", "Trying"
	case status.Drifted > 0:
		c.Status, c.Reason, c.Message = "False", "Drifted", fmt.Sprintf("%d interfaces were changed by others", status.Drifted)
	}
	status.Conditions = rollout.SetCondition(slices.DeleteFunc(slices.Clone(before), func(c fleet.Condition) bool { return c.Type != ready }), c)
	return status
}

// report is what a node says of one hand-out.
func (t taken) report(s agent.Status) fleet.Report {
	r := fleet.Report{Chain: t.HandOut.Chain, Generation: t.HandOut.Generation, Revision: t.HandOut.Revision, Outcome: fleet.Confirmed}
	if t.Err != "" {
		r.Outcome, r.Reason = fleet.Failed, t.Err
		return r
	}
	if !s.Settled() {
		r.Outcome = fleet.Trying
	}
	if s.Unread != nil {
		r.Outcome, r.Reason = fleet.Failed, s.Unread.Error()
	}
	for _, file := range s.Broken {
		r.Outcome, r.Reason = fleet.Failed, file.Err.Error()
	}
	found := map[string]bool{}
	for _, is := range s.Interfaces {
		name := t.names(is.Name)
		if name == "" {
			continue
		}
		found[name] = true
		outcome := map[agent.Condition]fleet.Outcome{agent.Trying: fleet.Trying, agent.Waiting: fleet.Trying, agent.TakenBack: fleet.TakenBack, agent.Failed: fleet.Failed}[is.Condition]
		if rank(outcome) > rank(r.Outcome) {
			r.Outcome, r.Reason = outcome, ""
			if is.Why != "" {
				r.Reason = is.Name + ": " + is.Why
			}
		}
	}
	if r.Outcome == fleet.Confirmed {
		absent := slices.DeleteFunc(t.Runs.Interfaces.Names(), func(name string) bool { return found[name] })
		if len(absent) > 0 {
			r.Reason = "there is no interface " + strings.Join(absent, ", ")
		}
	}
	return r
}

// names is the name or pattern of the hand-out that stands for an interface; empty: none does.
func (t taken) names(ifname string) string {
	for _, name := range t.Runs.Interfaces.Names() {
		if desired.Overlap(name, desired.QuotePattern(ifname)) {
			return name
		}
	}
	return ""
}

// rank orders outcomes: of several interfaces the worst counts.
func rank(o fleet.Outcome) int {
	return slices.Index([]fleet.Outcome{fleet.Confirmed, fleet.Trying, fleet.TakenBack, fleet.Failed}, o)
}
