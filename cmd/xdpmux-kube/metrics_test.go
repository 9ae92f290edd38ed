package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"k8s.io/client-go/tools/leaderelection"

	"github.com/xdpmux/xdpmux/dispatcher/agent/kube"
	"github.com/xdpmux/xdpmux/dispatcher/fleet"
	"github.com/xdpmux/xdpmux/dispatcher/fleet/rollout"
)

// scrape is what a collector has, without the help.
func scrape(t *testing.T, c prometheus.Collector) string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var all, lines strings.Builder
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&all, family); err != nil {
			t.Fatal(err)
		}
	}
	for line := range strings.Lines(all.String()) {
		if !strings.HasPrefix(line, "#") {
			lines.WriteString(strings.TrimPrefix(line, "xdpmux_kube_"))
		}
	}
	return lines.String()
}

func TestNodeMetrics(t *testing.T) {
	n := &nodeView{}
	n.state.Store(&kube.NodeState{Known: true, NameTaken: "m2", Unread: errors.New("newer"), Errors: map[string]int{"Forbidden": 2},
		HandOuts: []fleet.Report{{Chain: "edge", Generation: 3, Outcome: fleet.TakenBack, Reason: "eth0: it drops"}}})
	const want = `errors_total{reason="Forbidden"} 2
node_hand_out{chain="edge",outcome="TakenBack"} 1
node_hand_out_generation{chain="edge"} 3
node_known 1
node_name_taken 1
node_unreadable 1
`
	if got := scrape(t, nodeMetrics{n}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := strings.Join(n.troubles(), "\n"); got != "another machine has the name of this node: m2\nXDPChain edge, generation 3: TakenBack: eth0: it drops" {
		t.Error(got)
	}
	n.alive.Store(time.Now().Add(-time.Hour).UnixNano())
	if err := n.stuck(); err == nil || err.Error() != "the agent has done nothing for 1h0m0s" {
		t.Error(err)
	}
}

// TestLeaderMetrics: one that doesn't lead has no figures of roll-outs, and is ready all the same.
func TestLeaderMetrics(t *testing.T) {
	l := &leaderView{}
	l.state.Store(&kube.LeaderState{})
	mux := l.handlers(leaderelection.NewLeaderHealthzAdaptor(time.Second))
	get := func(path string) int {
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		return answer.Code
	}
	if healthy, ready := get("/healthz"), get("/readyz"); healthy != http.StatusOK || ready != http.StatusServiceUnavailable {
		t.Error(healthy, ready)
	}
	s := kube.LeaderState{Leader: "b", Unread: 1, Errors: map[string]int{"Conflict": 1}, Chains: map[string]kube.ChainState{"edge": {
		ChainStatus: fleet.ChainStatus{ObservedGeneration: 4, Nodes: 3, Updated: 2, Confirmed: 1, Conditions: []fleet.Condition{
			{Type: rollout.RolledOut, Status: "False", Reason: "Progressing"}, {Type: rollout.Conflicted, Status: "True"}}},
		Outcomes: map[fleet.Outcome]int{fleet.Trying: 1, fleet.Confirmed: 2}}}}
	l.state.Store(&s)
	if ready, scraped := get("/readyz"), get("/metrics"); ready != http.StatusOK || scraped != http.StatusOK {
		t.Error(ready, scraped)
	}
	if got := scrape(t, leaderMetrics{l}); got != "errors_total{reason=\"Conflict\"} 1\nleader_leads 0\n" {
		t.Error(got)
	}
	s.Leads = true
	l.state.Store(&s)
	const want = `errors_total{reason="Conflict"} 1
leader_chain_generation{chain="edge"} 4
leader_chain_nodes{chain="edge",what="chosen"} 3
leader_chain_nodes{chain="edge",what="confirmed"} 1
leader_chain_nodes{chain="edge",what="updated"} 2
leader_chain_outcomes{chain="edge",outcome="Confirmed"} 2
leader_chain_outcomes{chain="edge",outcome="Trying"} 1
leader_conflicted{chain="edge"} 1
leader_leads 1
leader_nodes_unreadable 1
leader_rollout{chain="edge",phase="Progressing"} 1
`
	if got := scrape(t, leaderMetrics{l}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
