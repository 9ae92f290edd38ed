package fleet

import "time"

// Node is an XDPNode: what one node is to run, and what it runs.
type Node struct {
	APIVersion string      `json:"apiVersion"`
	Kind       string      `json:"kind"`
	Metadata   Metadata    `json:"metadata"`
	Spec       NodeSpec    `json:"spec"`
	Status     *NodeStatus `json:"status,omitempty"`
}

// NodeSpec is what the leader hands out to a node.
type NodeSpec struct {
	HandOuts []HandOut `json:"handOuts,omitempty"`
}

// HandOut is what a node is to run of one chain.
type HandOut struct {
	Chain string    `json:"chain"`
	UID   string    `json:"uid"` // of the chain
	At    time.Time `json:"at"`
	Content
}

// NodeStatus is what a node says of itself.
type NodeStatus struct {
	Machine    string          `json:"machine,omitempty"` // which one speaks for the node: its machine-id(5)
	Version    string          `json:"version,omitempty"` // of the agent
	Chains     []Report        `json:"chains,omitempty"`
	Interfaces []NodeInterface `json:"interfaces,omitempty"`
	Drifted    int             `json:"drifted"` // interfaces
	Programs   int             `json:"programs"`
	Conditions []Condition     `json:"conditions,omitempty"`
}

// Outcome is what has become of a hand-out on a node.
type Outcome string

// The outcomes.
const (
	Trying    Outcome = "Trying"
	Confirmed Outcome = "Confirmed"
	TakenBack Outcome = "TakenBack" // by a guard
	Failed    Outcome = "Failed"    // it can't be used, or the interface can't be changed
)

// Report is a node's word on a hand-out.
type Report struct {
	Chain      string  `json:"chain"`
	Generation int64   `json:"generation"` // as the hand-out has them
	Revision   string  `json:"revision"`
	Outcome    Outcome `json:"outcome"`
	Reason     string  `json:"reason,omitempty"`
}

// NodeInterface is an interface of a node that a chain names.
type NodeInterface struct {
	Name      string `json:"name"`
	Condition string `json:"condition"` // as of dispatcher/agent
	Why       string `json:"why,omitempty"`
	Declared  int    `json:"declared"` // programs
	Running   int    `json:"running"`  // those of others too
}
