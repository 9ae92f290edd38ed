package kube

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/xdpmux/xdpmux/dispatcher/agent"
	"github.com/xdpmux/xdpmux/dispatcher/fleet"
)

// NodeState is how a node stands to the cluster.
type NodeState struct {
	Agent     *agent.Status  // nil: it has told nothing yet
	Known     bool           // the API server has been asked what the node was handed, since the process began
	HandOuts  []fleet.Report // what has become of what the node was handed
	NameTaken string         // the machine that has the name of the node; empty: this one
	Unread    error          // why the XDPNode can't be read
	Errors    map[string]int // since the process began, by their reasons, such as Forbidden (metav1.StatusReason)
}

// LeaderState is how roll-outs stand.
type LeaderState struct {
	Leader string // who leads, by its identity; empty: nobody knows yet
	Leads  bool   // this process does
	Chains map[string]ChainState
	Unread int            // XDPNodes that can't be read
	Errors map[string]int // as of NodeState
}

// ChainState is how the roll-out of an XDPChain stands.
type ChainState struct {
	fleet.ChainStatus
	Outcomes map[fleet.Outcome]int // nodes, by what has become of what they were handed
}

// shown is a state that several goroutines change, and somebody is told of.
type shown[T any] struct {
	tell func(T) // nil: nobody is

	mu sync.Mutex
	is T
}

// change changes the state. What was told stays as it was: how replaces maps and slices.
func (s *shown[T]) change(how func(*T)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	how(&s.is)
	if s.tell != nil {
		s.tell(s.is)
	}
}

// count adds an error, or each of several that are joined, to those before.
func count(before map[string]int, err error) map[string]int {
	all := maps.Clone(before)
	if all == nil {
		all = map[string]int{}
	}
	errs := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs = joined.Unwrap()
	}
	for _, one := range errs {
		all[reason(one)]++
	}
	return all
}

// reason is the API server's word for what is wrong, or ours where that said nothing.
func reason(err error) string {
	var said apierrors.APIStatus
	var file *fs.PathError
	switch {
	case errors.As(err, &said) && said.Status().Reason != "":
		return string(said.Status().Reason)
	case errors.As(err, &said):
		return fmt.Sprintf("Status%d", said.Status().Code)
	case errors.As(err, &file):
		return "Disk"
	case errors.Is(err, errUnread):
		return "Unreadable"
	}
	return "Unreachable"
}

// errUnread is what an error wraps that is about an object of another version.
var errUnread = errors.New("it may be of a newer version")
