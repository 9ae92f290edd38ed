package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/client-go/dynamic"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"

	"github.com/xdpmux/xdpmux/dispatcher/agent/kube"
	"github.com/xdpmux/xdpmux/dispatcher/fleet/rollout"
)

// lead is the command lead.
func (o options) lead(ctx context.Context, config *rest.Config, log *slog.Logger) (err error) {
	config.QPS, config.Burst = 200, 400 // a step of a roll-out is one write for each of its nodes
	opts := kube.LeadOptions{Namespace: o.namespace, Identity: o.name, Log: log, Stuck: leaderelection.NewLeaderHealthzAdaptor(20 * time.Second)}
	if opts.Client, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	if opts.Leases, err = coordination.NewForConfig(config); err != nil {
		return err
	}
	l := &leaderView{}
	l.state.Store(&kube.LeaderState{})
	opts.Tell = func(s kube.LeaderState) { l.state.Store(&s) }
	_, closeServer, err := o.serve(log, l.handlers(opts.Stuck))
	if err != nil {
		return err
	}
	defer closeServer()
	return kube.Lead(ctx, opts)
}

// leaderView is a leader as it is seen from outside.
type leaderView struct {
	state atomic.Pointer[kube.LeaderState]
}

func (l *leaderView) handlers(stuck *leaderelection.HealthzAdaptor) *http.ServeMux {
	registry := prometheus.NewRegistry()
	registry.MustRegister(append(processMetrics(), leaderMetrics{l})...)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if err := stuck.Check(r); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if l.state.Load().Leader == "" {
			http.Error(w, "nobody is known to lead yet: the Lease couldn't be read", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// leaderMetrics are the figures of roll-outs. One that doesn't lead has none.
type leaderMetrics struct{ *leaderView }

var (
	leads           = desc("leader_leads", "1 if this process leads.")
	chainRollout    = desc("leader_rollout", "1 for the phase of the roll-out of each XDPChain: the reason of its condition RolledOut.", "chain", "phase")
	chainConflicted = desc("leader_conflicted", "1 if another XDPChain names one of the interfaces of this one.", "chain")
	chainNodes      = desc("leader_chain_nodes", "Nodes of each XDPChain: chosen; updated, which were handed what its spec asks for; confirmed, of these.", "chain", "what")
	chainOutcomes   = desc("leader_chain_outcomes", "Nodes of each XDPChain by what has become of what they were handed: Trying, Confirmed, TakenBack, Failed.", "chain", "outcome")
	chainGeneration = desc("leader_chain_generation", "The generation of each XDPChain that its roll-out is about.", "chain")
	nodesUnread     = desc("leader_nodes_unreadable", "XDPNodes that are of a version that this leader can't read, and are left out.")
)

// Describe is empty: which metrics come depends on what is there.
func (leaderMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect gives the figures of now.
func (m leaderMetrics) Collect(to chan<- prometheus.Metric) {
	s := m.state.Load()
	gauge(to, leads, is(s.Leads))
	for reason, n := range s.Errors {
		counter(to, errorsTotal, float64(n), reason)
	}
	if !s.Leads {
		return
	}
	gauge(to, nodesUnread, float64(s.Unread))
	for name, c := range s.Chains {
		for what, n := range map[string]int{"chosen": c.Nodes, "updated": c.Updated, "confirmed": c.Confirmed} {
			gauge(to, chainNodes, float64(n), name, what)
		}
		for outcome, n := range c.Outcomes {
			gauge(to, chainOutcomes, float64(n), name, string(outcome))
		}
		gauge(to, chainGeneration, float64(c.ObservedGeneration), name)
		for _, condition := range c.Conditions {
			switch condition.Type {
			case rollout.RolledOut:
				gauge(to, chainRollout, 1, name, condition.Reason)
			case rollout.Conflicted:
				gauge(to, chainConflicted, is(condition.Status == "True"), name)
			}
		}
	}
}
