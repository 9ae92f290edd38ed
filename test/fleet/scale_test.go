package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"

	"github.com/xdpmux/xdpmux/dispatcher/agent/kube"
)

// traffic counts what nodes ask the API server, and what it answers.
type traffic struct{ requests, bytes atomic.Int64 }

func (c *traffic) wrap(to rt) rt { return counted{to, c} }

type counted struct {
	to rt
	*traffic
}

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.requests.Add(1)
	answer, err := c.to.RoundTrip(r)
	if err == nil {
		answer.Body = countedBody{answer.Body, c.traffic}
	}
	return answer, err
}

type countedBody struct {
	io.ReadCloser
	*traffic
}

func (b countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.bytes.Add(int64(n))
	return n, err
}

// TestScale measures roll-outs on as many nodes as XDPMUX_FLEET_SIZES says, and what nodes ask at
// rest for so many seconds (XDPMUX_FLEET_REST). make bench-fleet runs it.
func TestScale(t *testing.T) {
	sizes := strings.Fields(os.Getenv("XDPMUX_FLEET_SIZES"))
	rest, _ := strconv.Atoi(os.Getenv("XDPMUX_FLEET_REST"))
	if len(sizes) == 0 {
		sizes = []string{"20"}
	}
	t.Log("| nodes | first roll-out | change, 10 % at a time | requests a node and change | KiB a node and change | requests a node in rest | bytes a node in rest | leader MiB | at most | leader's CPU a change | API server MiB | its CPU a change | a node's agent MiB | at most |")
	for _, size := range sizes {
		n, err := strconv.Atoi(size)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(size, func(t *testing.T) { scale(t, n, time.Duration(rest)*time.Second) })
	}
}

func scale(t *testing.T, n int, rest time.Duration) {
	f := newFleet(t, 0)
	leader, _ := f.command(nil, strings.TrimSpace(f.must("create", "token", "xdpmux-leader", "-n", "xdpmux", "--duration", "24h")), "lead", "--name", "a")
	var all traffic
	var items []string
	for i := range n {
		items = append(items, fmt.Sprintf(`{"apiVersion":"v1","kind":"Node","metadata":{"name":"n%04d"},"status":{"conditions":[{"type":"Ready","status":"True","reason":"Test","message":"","lastHeartbeatTime":"2026-01-01T00:00:00Z","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`, i))
	}
	f.mustIn(`{"apiVersion":"v1","kind":"List","items":[`+strings.Join(items, ",")+`]}`, "create", "-f", "-")
	for i := range n {
		m := &machine{name: fmt.Sprintf("n%04d", i), dir: t.TempDir(), log: &lines{}, bad: func(string) bool { return false }}
		m.id = m.name
		config := f.config(adminToken)
		config.Wrap(all.wrap)
		client, err := dynamic.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		f.nodes[m.name] = m
		f.goes(func(ctx context.Context) error {
			return kube.RunNode(ctx, kube.NodeOptions{Client: client, Name: m.name, Machine: m.id, Version: "test", Dir: m.dir, Keep: m.keep, Log: m.log.logger()})
		})
	}
	registered := func() bool {
		var list struct {
			Items []struct{ Status struct{ Machine string } }
		}
		if err := json.Unmarshal([]byte(f.must("get", "xdpnodes", "-o", "json")), &list); err != nil {
			t.Fatal(err)
		}
		for _, node := range list.Items {
			if node.Status.Machine == "" {
				return false
			}
		}
		return len(list.Items) == n
	}
	f.within(10*time.Minute, "all nodes are registered", registered)
	agent := f.realNode()
	const tenth = "  rollout: {maxUnavailable: 10%, confirm: 5}\n  nodeSelector: {matchExpressions: [{key: real, operator: DoesNotExist}]}\n"
	change := func(object string) time.Duration {
		begin := time.Now()
		f.chain("edge", object, tenth)
		f.within(10*time.Minute, "all have confirmed it", func() bool {
			return strings.HasPrefix(f.rollout("edge"), fmt.Sprintf("Complete: %d of %d ", n, n)) && f.runsAll("eth0 "+object)
		})
		return time.Since(begin)
	}
	first := change("/v1.o")
	requests, bytes := all.requests.Load(), all.bytes.Load()
	leaderCPU, apiCPU := f.cpu(leader), f.cpu(f.api)
	second := change("/v2.o")
	leaderCPU, apiCPU = f.cpu(leader)-leaderCPU, f.cpu(f.api)-apiCPU
	requests, bytes = all.requests.Load()-requests, all.bytes.Load()-bytes
	restRequests, restBytes := all.requests.Load(), all.bytes.Load()
	select {
	case <-t.Context().Done():
	case <-time.After(rest):
	}
	restRequests, restBytes = all.requests.Load()-restRequests, all.bytes.Load()-restBytes
	per := func(count int64) float64 { return float64(count) / float64(n) }
	leads, ledAtMost := f.memory(leader)
	serves, _ := f.memory(f.api)
	keeps, keptAtMost := f.memory(agent)
	t.Logf("| %d | %.1f s | %.1f s | %.1f | %.1f | %.2f | %.0f | %.0f | %.0f | %.1f s | %.0f | %.1f s | %.0f | %.0f |", n, first.Seconds(), second.Seconds(), per(requests), per(bytes)/1024, per(restRequests), per(restBytes),
		leads, ledAtMost, leaderCPU.Seconds(), serves, apiCPU.Seconds(), keeps, keptAtMost)
	if rest > 0 && per(restRequests) > 30*rest.Hours()+1 {
		t.Errorf("%.2f requests a node in %v", per(restRequests), rest)
	}
}

// realNode adds a node whose agent is a process with a real kernel. It waits until that has
// confirmed a chain for an interface that isn't there.
func (f *fleet) realNode() *process {
	f.t.Helper()
	token := f.register("real")
	f.must("label", "node", "real", "real=")
	agent, log := f.command(nil, token, "node", "--name", "real")
	f.mustIn(chainText("real", "absent0", "/v1.o", "  nodeSelector: {matchLabels: {real: ''}}\n"), "apply", "-f", "-")
	f.eventually("the real node has confirmed it", func() bool {
		text, err := os.ReadFile(log)
		if err != nil {
			f.t.Fatal(err)
		}
		select {
		case <-agent.ended:
			f.t.Fatalf("the agent has ended:\n%s", text)
		default:
		}
		return strings.HasPrefix(f.rollout("real"), "Complete: 1 of 1 ")
	})
	return agent
}

// runsAll says whether all nodes run the same.
func (f *fleet) runsAll(runs string) bool {
	for _, m := range f.nodes {
		if m.running() != runs {
			return false
		}
	}
	return true
}
