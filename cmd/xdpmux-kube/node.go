package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/xdpmux/xdpmux/cmd/internal/agentweb"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/agent"
	"github.com/xdpmux/xdpmux/dispatcher/agent/kube"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/registry"
)

// aliveLimit is how long the agent, which says each half minute that it is alive, may say nothing.
const aliveLimit = 5 * time.Minute

// node is the command node.
func (o options) node(ctx context.Context, config *rest.Config, log *slog.Logger) error {
	debug.SetGCPercent(40) // it is there all the time, and works for a moment now and then
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	id, err := os.ReadFile(o.machine)
	if err != nil {
		return fmt.Errorf("nothing tells this machine from others: %w", err)
	}
	n := &nodeView{}
	n.alive.Store(time.Now().UnixNano())
	n.state.Store(&kube.NodeState{})
	view := agentweb.View{Status: func() *agent.Status { return n.state.Load().Agent }, Alive: n.stuck, Unready: n.unready, Troubles: n.troubles,
		Packets: func() *observe.Snapshot { return &observe.Snapshot{Time: time.Now()} }, More: append(processMetrics(), nodeMetrics{n})}
	if o.count == "packets" {
		counters := &agentweb.Counters{Context: ctx, Log: log}
		defer counters.Close()
		view.Packets = counters.Read
	}
	try, closeServer, err := o.serve(log, agentweb.Handlers(view))
	if err != nil {
		return err
	}
	defer closeServer()
	return kube.RunNode(ctx, kube.NodeOptions{Client: client, Name: o.name, Machine: strings.TrimSpace(string(id)), Version: output.Version(), Dir: o.dir,
		Prune: o.prune, Adopt: o.adopt, Fetch: new(registry.Client).Fetch, Log: log,
		Tell: func(s kube.NodeState) { n.state.Store(&s) },
		Alive: func() {
			n.alive.Store(time.Now().UnixNano())
			try()
		}})
}

// nodeView is a node as it is seen from outside.
type nodeView struct {
	state atomic.Pointer[kube.NodeState]
	alive atomic.Int64 // when the agent has said so last: nanoseconds since 1970
}

func (n *nodeView) stuck() error {
	if silent := time.Since(time.Unix(0, n.alive.Load())); silent > aliveLimit {
		return fmt.Errorf("the agent has done nothing for %v", silent.Round(time.Second))
	}
	return nil
}

func (n *nodeView) unready() string {
	switch s := n.state.Load(); {
	case !s.Known:
		return "the API server has not been asked yet what this node is to run"
	case s.NameTaken != "":
		return "another machine has the name of this node: " + s.NameTaken
	case s.Unread != nil:
		return s.Unread.Error()
	}
	return ""
}

// troubles are what the page says beside what the agent does.
func (n *nodeView) troubles() (all []string) {
	if why := n.unready(); why != "" {
		all = append(all, why)
	}
	for _, h := range n.state.Load().HandOuts {
		if h.Reason != "" {
			all = append(all, fmt.Sprintf("XDPChain %s, generation %d: %s: %s", h.Chain, h.Generation, h.Outcome, h.Reason))
		}
	}
	return all
}

// nodeMetrics are the figures of how a node stands to the cluster.
type nodeMetrics struct{ *nodeView }

var (
	nodeKnown     = desc("node_known", "1 if the API server has been asked what the node is to run, since the process began.")
	nodeNameTaken = desc("node_name_taken", "1 if another machine has the name of this node, so that this one changes nothing.")
	nodeUnread    = desc("node_unreadable", "1 if the XDPNode is of a version that this agent can't read, so that what runs stays.")
	handOut       = desc("node_hand_out", "1 for what has become of what the node was handed of each XDPChain.", "chain", "outcome")
	handOutNumber = desc("node_hand_out_generation", "The generation of each XDPChain that the node was handed.", "chain")
	errorsTotal   = desc("errors_total", "What went wrong with the API server, its objects, or the disk, by the reason.", "reason")
)

// Describe is empty: which metrics come depends on what is there.
func (nodeMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect gives the figures of now.
func (m nodeMetrics) Collect(to chan<- prometheus.Metric) {
	s := m.state.Load()
	gauge(to, nodeKnown, is(s.Known))
	gauge(to, nodeNameTaken, is(s.NameTaken != ""))
	gauge(to, nodeUnread, is(s.Unread != nil))
	for _, h := range s.HandOuts {
		gauge(to, handOut, 1, h.Chain, string(h.Outcome))
		gauge(to, handOutNumber, float64(h.Generation), h.Chain)
	}
	for reason, n := range s.Errors {
		counter(to, errorsTotal, float64(n), reason)
	}
}
