package agentweb

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/xdpmux/xdpmux/cmd/internal/exporter"
	"github.com/xdpmux/xdpmux/dispatcher/agent"
)

// declared is a status as the page shows it. nil is one of before the first look.
func declared(s *agent.Status, unlistened func() (int, string)) *exporter.Declared {
	if s == nil {
		return &exporter.Declared{Troubles: []string{"The files have not been read yet."}}
	}
	refusals, why := unlistened()
	d := &exporter.Declared{Facts: facts(
		"As declared", fmt.Sprintf("%d of %d interfaces", s.Count(agent.AsDeclared), len(s.Interfaces)),
		"Generation", fmt.Sprint(s.Generation),
		"All as declared at", clock(s.Converged),
		"Last change", clock(s.LastChange),
		"Changes", fmt.Sprint(s.Changes),
		"Drift", fmt.Sprintf("%d, mended %d", s.Drifts, s.Mends),
		"Taken back", fmt.Sprint(s.TakenBack),
		"Pending", fmt.Sprint(s.Pending),
		"Files", fmt.Sprint(s.Files),
		"Interfaces renamed", times(s.Renames, ""),
		"Clock set", times(s.ClockSteps, ""),
		"Other agents turned away", times(s.Refused, s.LastRefused),
		"Couldn't listen", times(refusals, why),
		"Errors", errorsOf(s),
	)}
	if s.Unread != nil {
		d.Troubles = append(d.Troubles, "The files can't be read: "+s.Unread.Error())
	}
	for _, f := range s.Late {
		d.Troubles = append(d.Troubles, f.Path+": "+map[agent.Lateness]string{
			agent.Writing:      "somebody writes to it, and until that ends what it declared before stays",
			agent.ImagesComing: "its images are being fetched, and until they are here what it declared before stays",
		}[f.Why])
	}
	for _, i := range s.Images {
		if i.Why != "" {
			d.Troubles = append(d.Troubles, fmt.Sprintf("%s: image %s is %s: %s", i.File, i.Object, i.Condition, i.Why))
		}
	}
	for _, f := range s.Broken {
		text := f.Err.Error()
		if !strings.Contains(text, f.Path) {
			text = f.Path + ": " + text
		}
		d.Troubles = append(d.Troubles, text)
	}
	for _, err := range []error{s.Unwritten, s.Untold} {
		if err != nil {
			d.Troubles = append(d.Troubles, err.Error())
		}
	}
	for _, is := range s.Interfaces {
		d.Interfaces = append(d.Interfaces, exporter.DeclaredInterface{Name: is.Name,
			Condition: string(is.Condition), Well: is.Condition == agent.AsDeclared, Facts: facts(
				"Called before", is.Before,
				"Why", is.Why,
				"To do", is.Differs,
				"Declared", programsText(is.Declared),
				"Running", programsText(is.Running),
				"Generation", fmt.Sprint(is.Generation),
				"As declared at", clock(is.Converged),
				"Last change", clock(is.Changed),
			)})
	}
	return d
}

// facts are names, each with its value. What has none is left out.
func facts(namesAndValues ...string) (all []exporter.Fact) {
	for pair := range slices.Chunk(namesAndValues, 2) {
		if pair[1] != "" {
			all = append(all, exporter.Fact{Name: pair[0], Value: pair[1]})
		}
	}
	return all
}

func programsText(n int) string {
	if n == 1 {
		return "1 program"
	}
	return fmt.Sprintf("%d programs", n)
}

// times is how often something has happened, and what the last time was like; empty: never.
func times(n int, last string) string {
	switch {
	case n == 0:
		return ""
	case last != "":
		last = ", the last: " + last
	}
	return fmt.Sprintf("%d%s", n, last)
}

// clock is empty for the zero time.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2006-01-02 15:04:05")
}

// errorsOf are the errors by their kinds.
func errorsOf(s *agent.Status) string {
	var all []string
	for _, kind := range slices.Sorted(maps.Keys(s.Errors)) {
		all = append(all, fmt.Sprintf("%s: %d", kind, s.Errors[kind]))
	}
	return strings.Join(all, ", ")
}
