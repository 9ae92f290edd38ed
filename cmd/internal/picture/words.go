package picture

import (
	"fmt"
	"math"
	"strings"
)

// Short is a rate in few characters, such as "12.3k/s".
func (r Rate) Short() string {
	n, unit := math.Round(r.PerSecond*10)/10, ""
	for _, next := range []string{"k", "M", "G"} {
		if n < 1000 {
			break
		}
		n, unit = math.Round(n/100)/10, next
	}
	if n >= 100 {
		n = math.Round(n)
	}
	return fmt.Sprintf("%g%s/s", n, unit)
}

// exactly is a rate with all its digits.
func exactly(r Rate) string { return fmt.Sprintf("%d packets, %.1f/s", r.Packets, r.PerSecond) }

// exactly is all that is known of a program, a line for each thing.
func (p Program) exactly(counted bool) string {
	lines := []string{p.Name + ", " + p.Note}
	if p.Passes != "" {
		lines = append(lines, "chain call actions: "+p.Passes)
	}
	switch {
	case p.Unseen != "":
		lines = append(lines, "not observed: "+p.Unseen)
	case counted:
		lines = append(lines, exactly(p.Total))
		for _, v := range p.Verdicts {
			if v.Decided.Packets > 0 {
				lines = append(lines, "decided "+v.Name+": "+exactly(v.Decided))
			}
			if v.HandedOn.Packets > 0 {
				lines = append(lines, "handed on "+v.Name+": "+exactly(v.HandedOn))
			}
		}
	}
	return strings.Join(lines, "\n")
}

// short are actions without what they have in common.
func short(actions string) string { return strings.ReplaceAll(actions, "XDP_", "") }
