package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/xdpmux/xdpmux/dispatcher/agent"
	"github.com/xdpmux/xdpmux/dispatcher/agent/kube"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// fleet is a cluster's nodes and leaders, in one test.
type fleet struct {
	*server
	t     *testing.T
	nodes map[string]*machine
}

// machine is a node whose kernel only remembers.
type machine struct {
	name, id, dir, token string
	log                  *lines
	state                atomic.Pointer[kube.NodeState] // as it was told last
	stop                 func()

	mu      sync.Mutex
	runs    string // the objects that run, by interface: "eth0 /a.o"
	history []string
	bad     func(object string) bool // what its guard fails for
}

// newFleet makes a cluster of that many nodes, without chains and leaders.
func newFleet(t *testing.T, nodes int) *fleet {
	t.Helper()
	f := &fleet{server: cluster, t: t, nodes: map[string]*machine{}}
	t.Cleanup(func() {
		for _, all := range []string{"/apis/xdpmux.io/v1alpha1/xdpchains", "/apis/xdpmux.io/v1alpha1/xdpnodes", "/api/v1/nodes"} {
			f.must("delete", "--raw", all) // one request, however many there are
		}
		f.must("delete", "pods", "-n", "xdpmux", "--all", "--force", "--grace-period=0")
		f.must("delete", "leases", "-n", "xdpmux", "--all")
	})
	for i := range nodes {
		f.addNode(fmt.Sprintf("n%d", i))
	}
	return f
}

func (f *fleet) must(args ...string) string { return f.mustIn("", args...) }

func (f *fleet) mustIn(stdin string, args ...string) string {
	f.t.Helper()
	out, err := f.kubectl(stdin, args...)
	if err != nil {
		f.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// register makes a Node that is ready, with a pod of the DaemonSet on it. It returns the pod's token.
func (f *fleet) register(name string) (token string) {
	f.t.Helper()
	f.createNode(name)
	f.mustIn(fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%[1]q,"namespace":"xdpmux"},
		"spec":{"serviceAccountName":"xdpmux-node","nodeName":%[1]q,"containers":[{"name":"node","image":"x"}],"automountServiceAccountToken":false}}`, name), "create", "-f", "-")
	return strings.TrimSpace(f.must("create", "token", "xdpmux-node", "-n", "xdpmux", "--bound-object-kind", "Pod", "--bound-object-name", name))
}

func (f *fleet) createNode(name string) {
	f.t.Helper()
	f.mustIn(fmt.Sprintf(`{"apiVersion":"v1","kind":"Node","metadata":{"name":%[1]q,"labels":{"name":%[1]q}}}`, name), "create", "-f", "-")
	f.setReady(name, true)
}

// addNode registers a node, and starts its agent.
func (f *fleet) addNode(name string) *machine {
	f.t.Helper()
	m := &machine{name: name, id: "machine-of-" + name, dir: f.t.TempDir(), log: &lines{}, bad: func(string) bool { return false }}
	m.token = f.register(name)
	f.nodes[name] = m
	f.startNode(m)
	return m
}

func (f *fleet) setReady(name string, is bool) {
	f.t.Helper()
	status := map[bool]string{true: "True", false: "False"}[is]
	f.must("patch", "node", name, "--subresource=status", "--type=merge", "-p", `{"status":{"conditions":[{"type":"Ready","status":"`+status+`","reason":"Test","message":"","lastHeartbeatTime":"2026-01-01T00:00:00Z","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`)
}

// startNode starts the agent of a node.
func (f *fleet) startNode(m *machine) {
	f.t.Helper()
	client, err := dynamic.NewForConfig(f.config(m.token))
	if err != nil {
		f.t.Fatal(err)
	}
	m.stop = f.goes(func(ctx context.Context) error {
		return kube.RunNode(ctx, kube.NodeOptions{Client: client, Name: m.name, Machine: m.id, Version: "test", Dir: m.dir, Keep: m.keep, Log: m.log.logger(),
			Tell: func(s kube.NodeState) { m.state.Store(&s) }})
	})
}

// goes runs f until the test ends or stop is called.
func (f *fleet) goes(do func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := do(ctx); err != nil && ctx.Err() == nil {
			f.t.Errorf("it has ended: %v", err)
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	f.t.Cleanup(stop)
	return stop
}

// leader is a process that leads, or would.
type leader struct {
	*lines
	state atomic.Pointer[kube.LeaderState] // as it was told last
}

// lead starts a leader. kill ends it without a word to the others: its Lease stays.
func (f *fleet) lead(identity string) (l *leader, kill func()) {
	f.t.Helper()
	token := strings.TrimSpace(f.must("create", "token", "xdpmux-leader", "-n", "xdpmux"))
	config := f.config(token)
	// What is dead writes nothing any more.
	dead := make(chan struct{})
	config.Wrap(func(to rt) rt { return untilDead{to, dead} })
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		f.t.Fatal(err)
	}
	leases, err := coordination.NewForConfig(config)
	if err != nil {
		f.t.Fatal(err)
	}
	l = &leader{lines: &lines{}}
	stop := f.goes(func(ctx context.Context) error {
		opts := kube.LeadOptions{Client: client, Leases: leases, Namespace: "xdpmux", Identity: identity, TakeOver: 4 * time.Second, Log: l.logger(),
			Tell: func(s kube.LeaderState) { l.state.Store(&s) }}
		for ctx.Err() == nil { // as a Deployment does
			if err := kube.Lead(ctx, opts); err != nil {
				return err
			}
		}
		return nil
	})
	return l, func() {
		close(dead)
		stop()
	}
}

// keep stands for agent.Run: it runs what the files say, in its memory.
func (m *machine) keep(ctx context.Context, opts agent.Options) error {
	look := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		state, err := desired.Read(ctx, opts.Dir)
		if err != nil {
			opts.Tell(agent.Status{Read: true, Unread: err})
			return
		}
		var runs []string
		status := agent.Status{Read: true}
		for _, i := range state.Interfaces {
			is := agent.Interface{Interface: xdp.Interface{Name: i.Name}, Condition: agent.AsDeclared, Declared: len(i.Programs), Running: len(i.Programs)}
			for _, p := range i.Programs {
				if m.bad(p.Object) {
					is.Condition, is.Why = agent.TakenBack, "the guard has failed"
				}
				runs = append(runs, i.Name+" "+p.Object)
			}
			status.Interfaces = append(status.Interfaces, is)
		}
		if now := strings.Join(runs, ", "); now != m.runs {
			m.runs = now
			m.history = append(m.history, now)
		}
		opts.Tell(status)
	}
	look()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-opts.Reload:
			opts.Reloaded()
			look()
		}
	}
}

func (m *machine) running() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.runs
}

func (m *machine) ever(runs string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.history, runs)
}

// chain writes an XDPChain for eth0, which runs an object.
func (f *fleet) chain(name, object string, rest ...string) {
	f.t.Helper()
	f.mustIn(chainText(name, "eth0", object, rest...), "apply", "-f", "-")
}

func chainText(name, ifname, object string, rest ...string) string {
	return fmt.Sprintf("apiVersion: xdpmux.io/v1alpha1\nkind: XDPChain\nmetadata: {name: %s}\nspec:\n  interfaces: [{name: %s, programs: [{name: p, object: %s}]}]\n%s",
		name, ifname, object, strings.Join(rest, ""))
}

// all is what runs on all nodes: "n0: eth0 /a.o; n1: ".
func (f *fleet) all() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(f.nodes)) {
		all = append(all, name+": "+f.nodes[name].running())
	}
	return strings.Join(all, "; ")
}

// rollout is the reason and the message of a chain's roll-out; empty: the leader hasn't seen yet what
// the spec asks for.
func (f *fleet) rollout(name string) string {
	out, _ := f.kubectl("", "get", "xdpchain", name, "-o", `jsonpath={.metadata.generation} {.status.observedGeneration} {.status.conditions[?(@.type=="RolledOut")].reason}: {.status.conditions[?(@.type=="RolledOut")].message}`)
	generation, rest, _ := strings.Cut(out, " ")
	if observed, says, _ := strings.Cut(rest, " "); observed == generation {
		return says
	}
	return ""
}

// eventually waits for something to be so.
func (f *fleet) eventually(what string, is func() bool) {
	f.t.Helper()
	f.within(time.Minute, what, is)
}

func (f *fleet) within(limit time.Duration, what string, is func() bool) {
	f.t.Helper()
	for end := time.Now().Add(limit); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			for _, name := range slices.Sorted(maps.Keys(f.nodes)) {
				f.t.Logf("%s\n%s", name, f.nodes[name].log)
			}
			out, _ := f.kubectl("", "get", "xdpchains,xdpnodes", "-o", "yaml")
			f.t.Fatalf("not so after %v: %s; it runs %s\n%s", limit, what, f.all(), out)
		}
	}
}

// everywhere waits until all nodes run the same.
func (f *fleet) everywhere(runs string) {
	f.t.Helper()
	f.eventually("all run "+runs, func() bool { return f.runsAll(runs) })
}

// says waits until a chain's roll-out has come to a point.
func (f *fleet) says(name, prefix string) {
	f.t.Helper()
	f.eventually(name+" is "+prefix, func() bool { return strings.HasPrefix(f.rollout(name), prefix) })
}

// event waits for an event of a reason about an object, whose note has a text.
func (f *fleet) event(about, reason, note string) {
	f.t.Helper()
	f.eventually(fmt.Sprintf("an event %s about %s: %s", reason, about, note), func() bool {
		out := f.must("get", "events.events.k8s.io", "-o", "json")
		var list struct {
			Items []struct {
				Reason, Note string
				Regarding    struct{ Name string }
			}
		}
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			f.t.Fatal(err)
		}
		for _, e := range list.Items {
			if e.Reason == reason && e.Regarding.Name == about && strings.Contains(e.Note, note) {
				return true
			}
		}
		return false
	})
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
