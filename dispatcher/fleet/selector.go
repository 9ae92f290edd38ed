package fleet

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Selector chooses nodes by their labels: all that match each of its parts (LabelSelector).
type Selector struct {
	MatchLabels      map[string]string `json:"matchLabels,omitempty"`
	MatchExpressions []Requirement     `json:"matchExpressions,omitempty"`
}

// Requirement is what a label has to be.
type Requirement struct {
	Key      string   `json:"key"`
	Operator Operator `json:"operator"`
	Values   []string `json:"values,omitempty"` // of In and NotIn
}

// Operator compares a label with values.
type Operator string

// The operators.
const (
	In           Operator = "In"
	NotIn        Operator = "NotIn" // also where there is no such label
	Exists       Operator = "Exists"
	DoesNotExist Operator = "DoesNotExist"
)

// All says whether the selector chooses all nodes.
func (s Selector) All() bool { return len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0 }

// Matches says whether the selector chooses a node with these labels.
func (s Selector) Matches(labels map[string]string) bool {
	for key, want := range s.MatchLabels {
		if got, ok := labels[key]; !ok || got != want {
			return false
		}
	}
	for _, r := range s.MatchExpressions {
		if !r.holds(labels) {
			return false
		}
	}
	return true
}

// holds is false for an operator that isn't known: then no node is chosen.
func (r Requirement) holds(labels map[string]string) bool {
	value, there := labels[r.Key]
	switch r.Operator {
	case In:
		return there && slices.Contains(r.Values, value)
	case NotIn:
		return !there || !slices.Contains(r.Values, value)
	case Exists:
		return there
	case DoesNotExist:
		return !there
	}
	return false
}

// Share is a number of nodes, or a part of them in percent: 3, or "10%" (IntOrString).
type Share struct {
	Nodes   int
	Percent bool
}

// MarshalJSON writes a number or a text.
func (s Share) MarshalJSON() ([]byte, error) {
	if s.Percent {
		return []byte(strconv.Quote(strconv.Itoa(s.Nodes) + "%")), nil
	}
	return []byte(strconv.Itoa(s.Nodes)), nil
}

// UnmarshalJSON reads a number or a text.
func (s *Share) UnmarshalJSON(data []byte) error {
	text := strings.Trim(string(data), `"`)
	digits, percent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || percent && n > 100 {
		return fmt.Errorf("%s is neither a number of nodes nor a share of them, such as 10%%", data)
	}
	*s = Share{n, percent}
	return nil
}

// Of is how many of so many nodes that is: one at least, and a part of one is none.
func (s Share) Of(nodes int) int {
	if s.Percent {
		return max(1, nodes*s.Nodes/100)
	}
	return max(1, s.Nodes)
}
