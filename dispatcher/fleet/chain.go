package fleet

import "github.com/xdpmux/xdpmux/dispatcher/desired"

// The group and version of the objects.
const (
	Group      = "xdpmux.io"
	Version    = "v1alpha1"
	APIVersion = Group + "/" + Version
	ChainKind  = "XDPChain"
)

// Metadata is what Kubernetes knows of each object (ObjectMeta).
type Metadata struct {
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Chain is an XDPChain: what the interfaces of some nodes should run.
type Chain struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Metadata   Metadata  `json:"metadata"`
	Spec       ChainSpec `json:"spec"`
}

// NewChain is an XDPChain of that name.
func NewChain(name string, spec ChainSpec) Chain {
	return Chain{APIVersion: APIVersion, Kind: ChainKind, Metadata: Metadata{Name: name}, Spec: spec}
}

// ChainSpec is what an XDPChain asks for.
type ChainSpec struct {
	NodeSelector Selector            `json:"nodeSelector"` // empty: all nodes
	Interfaces   []desired.Interface `json:"interfaces"`   // as in a state file
}

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
