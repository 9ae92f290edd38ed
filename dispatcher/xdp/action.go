package xdp

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Verdict is what an XDP program returns for a packet (enum xdp_action).
type Verdict uint32

// The kernel's verdicts.
const (
	Aborted Verdict = iota
	Drop
	Pass
	TX
	Redirect
	NumVerdicts // how many there are
)

var verdictNames = [NumVerdicts]string{"XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"}

// VerdictNames are the kernel's names of the verdicts.
func VerdictNames() []string { return verdictNames[:] }

// String is the kernel's name, such as "XDP_PASS".
func (v Verdict) String() string {
	if v < NumVerdicts {
		return verdictNames[v]
	}
	return fmt.Sprintf("%d", uint32(v))
}

// ParseVerdict reads a verdict's name: the kernel's, or that without its XDP_, in
// capitals or in small letters. The error is of kind [ErrInvalid] and lists the names.
func ParseVerdict(s string) (Verdict, error) {
	for v, known := range verdictNames {
		short := strings.TrimPrefix(known, "XDP_")
		if s == known || s == short || s == strings.ToLower(known) || s == strings.ToLower(short) {
			return Verdict(v), nil
		}
	}
	return 0, &Error{Kind: ErrInvalid,
		Msg:    fmt.Sprintf("unknown verdict %q", s),
		Remedy: "valid verdicts: " + strings.Join(verdictNames[:], ", ")}
}

// Actions is a set of verdicts: the chain call actions of a program, after which
// the next program of the chain runs. Bit n stands for verdict n.
type Actions uint32

// On is the set of these verdicts, for [Program.Actions].
func On(verdicts ...Verdict) *Actions {
	var a Actions
	for _, v := range verdicts {
		a |= 1 << v
	}
	return &a
}

// Has says whether v is in the set.
func (a Actions) Has(v Verdict) bool { return a&(1<<v) != 0 }

// Names lists the set's verdicts in the kernel's order.
func (a Actions) Names() []string {
	names := []string{}
	for v := range NumVerdicts {
		if a.Has(v) {
			names = append(names, v.String())
		}
	}
	return names
}

// String joins the names with commas, as xdp-loader prints and takes them.
func (a Actions) String() string { return strings.Join(a.Names(), ",") }

// MarshalJSON writes the list of names.
func (a Actions) MarshalJSON() ([]byte, error) { return json.Marshal(a.Names()) }

// UnmarshalJSON reads the list of names.
func (a *Actions) UnmarshalJSON(data []byte) error {
	var names []string
	if err := json.Unmarshal(data, &names); err != nil {
		return err
	}
	parsed, err := ParseActions(names...)
	if err == nil {
		*a = parsed
	}
	return err
}

// ParseActions reads the names of verdicts as [ParseVerdict] does, each perhaps
// several joined by commas. The error is of kind [ErrInvalid] and lists the names.
func ParseActions(lists ...string) (Actions, error) {
	var a Actions
	for _, list := range lists {
		for _, name := range strings.Split(list, ",") {
			v, err := ParseVerdict(name)
			if err != nil {
				return 0, &Error{Kind: ErrInvalid,
					Msg:    fmt.Sprintf("unknown action %q", name),
					Remedy: "valid actions: " + strings.Join(verdictNames[:], ", ")}
			}
			a |= 1 << v
		}
	}
	return a, nil
}
