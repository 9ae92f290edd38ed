package kube

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
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

	unreadable = "Unreadable" // the XDPNode is of another version

	tagMoved = "TagMoved" // a tag stands for another image than before; so since the agent has begun
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
	status.Chains = reports(all, s)
	for _, r := range status.Chains {
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
	status.Conditions = rollout.SetCondition(slices.DeleteFunc(slices.Clone(before), func(c fleet.Condition) bool { return c.Type != ready && c.Type != tagMoved }), c)
	if text := moved(all, s.Moved); text != "" {
		status.Conditions = rollout.SetCondition(status.Conditions, fleet.Condition{Type: tagMoved, Status: "True", Reason: "AnotherImage", Message: text, LastTransitionTime: c.LastTransitionTime})
	} else {
		status.Conditions = slices.DeleteFunc(status.Conditions, func(c fleet.Condition) bool { return c.Type == tagMoved })
	}
	return status
}

// moved says which tags have moved that the hand-outs name; empty: none.
func moved(all []taken, moved map[string]agent.Moved) string {
	var texts []string
	for _, object := range slices.Sorted(maps.Keys(moved)) {
		named := func(t taken) bool { return strings.Contains(string(t.Runs.Interfaces), strconv.Quote(object)) }
		if slices.ContainsFunc(all, named) {
			texts = append(texts, fmt.Sprintf("%s stands for %s now, and stood for %s before", object, moved[object].Now, moved[object].Before))
		}
	}
	return strings.Join(texts, "; ")
}

// reports are what a node says of its hand-outs.
func reports(all []taken, s agent.Status) (reports []fleet.Report) {
	for _, t := range all {
		reports = append(reports, t.report(s))
	}
	return reports
}

// report is what a node says of one hand-out.
func (t taken) report(s agent.Status) fleet.Report {
	r := fleet.Report{Chain: t.HandOut.Chain, Generation: t.HandOut.Generation, Revision: t.HandOut.Revision, Outcome: fleet.Confirmed}
	if t.Err != "" {
		r.Outcome, r.Reason = fleet.Failed, t.Err
		return r
	}
	is := func(path string) bool { return filepath.Base(path) == t.file() }
	if !s.Read || s.Count(agent.Waiting) > 0 || slices.ContainsFunc(s.Fetching(), is) {
		r.Outcome = fleet.Trying
	}
	if s.Unread != nil {
		r.Outcome, r.Reason = fleet.Failed, s.Unread.Error()
	}
	for _, file := range s.Broken {
		if is(file.Path) || filepath.Base(file.Path) == trialFile {
			r.Outcome, r.Reason = fleet.Failed, file.Err.Error()
		}
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
