package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
)

// The group and version of the objects.
const (
	Group      = "xdpmux.io"
	Version    = "v1alpha1"
	APIVersion = Group + "/" + Version
	ChainKind  = "XDPChain"
	NodeKind   = "XDPNode"
)

// Metadata is what Kubernetes knows of each object (ObjectMeta).
type Metadata struct {
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`

	// These are the API server's.
	UID             string `json:"uid,omitempty"`
	Generation      int64  `json:"generation,omitempty"` // grows with each change of spec
	ResourceVersion string `json:"resourceVersion,omitempty"`
}

// Chain is an XDPChain: what the interfaces of some nodes should run.
type Chain struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Metadata   Metadata     `json:"metadata"`
	Spec       ChainSpec    `json:"spec"`
	Status     *ChainStatus `json:"status,omitempty"`
}

// NewChain is an XDPChain of that name.
func NewChain(name string, spec ChainSpec) Chain {
	return Chain{APIVersion: APIVersion, Kind: ChainKind, Metadata: Metadata{Name: name}, Spec: spec}
}

// ChainSpec is what an XDPChain asks for.
type ChainSpec struct {
	NodeSelector Selector   `json:"nodeSelector"` // empty: all nodes
	Interfaces   Interfaces `json:"interfaces"`
	Rollout      *Rollout   `json:"rollout,omitempty"`
}

// Interfaces are those of a state file, word for word.
type Interfaces json.RawMessage

// MarshalJSON returns them as they are.
func (i Interfaces) MarshalJSON() ([]byte, error) { return json.RawMessage(i).MarshalJSON() }

// UnmarshalJSON takes whatever they are; [Interfaces.State] says what is wrong with them.
func (i *Interfaces) UnmarshalJSON(data []byte) error {
	return (*json.RawMessage)(i).UnmarshalJSON(data)
}

// State reads them as a state file of that name. Errors: as of [desired.Parse].
func (i Interfaces) State(ctx context.Context, name string) (*desired.State, error) {
	text, err := json.Marshal(map[string]Interfaces{"interfaces": i})
	if err != nil {
		return nil, err
	}
	return desired.Parse(ctx, name, "/", text)
}

// Names are the names and patterns of the interfaces, as far as they can be read.
func (i Interfaces) Names() []string {
	var all []struct {
		Name string `json:"name"`
	}
	_ = json.Unmarshal(i, &all)
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = one.Name
	}
	return names
}

// Revision is what tells these interfaces from others: a digest, however their text is laid out.
func (i Interfaces) Revision() (string, error) {
	var v any
	if err := json.Unmarshal(i, &v); err != nil {
		return "", err
	}
	text, err := json.Marshal(v)
	hash := sha256.Sum256(text)
	return hex.EncodeToString(hash[:6]), err
}

// Rollout says how a change of an XDPChain comes to its nodes.
type Rollout struct {
	MaxUnavailable Share `json:"maxUnavailable,omitempty"` // nodes that try the change at once; default: 1
	Confirm        int   `json:"confirm,omitempty"`        // seconds for which a node tries it; default: 60
	GuardDrops     *int  `json:"guardDrops,omitempty"`     // as guard-drops of a state file; nil: nothing guards
	GuardBefore    int   `json:"guardBefore,omitempty"`    // as guard-before: seconds for which that is measured before; default: 60
	Pause          bool  `json:"pause,omitempty"`          // no further node gets the change
}

// Condition is one of an object's, as in all of Kubernetes.
type Condition struct {
	Type               string `json:"type"`
	Status             string `json:"status"` // True, False or Unknown
	Reason             string `json:"reason"` // one word
	Message            string `json:"message"`
	ObservedGeneration int64  `json:"observedGeneration,omitempty"`
	LastTransitionTime string `json:"lastTransitionTime"`
}

// ChainStatus is how far an XDPChain has come. The leader writes it.
type ChainStatus struct {
	ObservedGeneration int64       `json:"observedGeneration,omitempty"`
	Nodes              int         `json:"nodes"`     // that are selected
	Updated            int         `json:"updated"`   // that have been handed what the spec asks for
	Confirmed          int         `json:"confirmed"` // of these, that have confirmed it
	Stable             *Content    `json:"stable,omitempty"`
	Failed             *Failure    `json:"failed,omitempty"`
	Conditions         []Condition `json:"conditions,omitempty"`
}

// Content is what nodes run of a chain, and how they try it.
type Content struct {
	Generation  int64      `json:"generation"`
	Revision    string     `json:"revision"`
	Interfaces  Interfaces `json:"interfaces"`
	Confirm     int        `json:"confirm,omitempty"`
	GuardDrops  *int       `json:"guardDrops,omitempty"`
	GuardBefore int        `json:"guardBefore,omitempty"`
}

// Failure is why a generation was taken back.
type Failure struct {
	Generation int64  `json:"generation"`
	Revision   string `json:"revision"`
	Node       string `json:"node"`
	Reason     string `json:"reason"`
}
