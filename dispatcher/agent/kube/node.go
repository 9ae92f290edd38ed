package kube

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"github.com/xdpmux/xdpmux/dispatcher/agent"
	"github.com/xdpmux/xdpmux/dispatcher/fleet"
	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
)

// NodeOptions says which node is kept, and how.
type NodeOptions struct {
	Client  dynamic.Interface
	Name    string // of the node, and so of its XDPNode
	Machine string // what tells this machine from others: machine-id(5)
	Version string // of the agent, for the status

	// Dir is where what the node was handed is kept. Nobody else writes there.
	Dir string

	Prune, Adopt bool          // as in [agent.Options]
	Fetch        image.Fetcher // gets the images that chains name
	Log          *slog.Logger

	// Tell is told how things are whenever something has happened; nil: nobody is. It doesn't wait.
	Tell  func(NodeState)
	Alive func() // as in [agent.Options]

	// Keep keeps the machine as the files of a directory declare it; nil: [agent.Run].
	Keep func(context.Context, agent.Options) error
}

// node is what RunNode works on.
type node struct {
	NodeOptions
	informer cache.SharedIndexInformer
	changed  wake
	reload   chan struct{}
	reloaded wake
	shown    shown[NodeState]

	mu      sync.Mutex // of what the goroutine of Keep tells
	writing []taken    // what the files declare, once they are read
	read    []taken    // what status is about
	status  *agent.Status

	taken   []taken
	said    *fleet.NodeStatus // the status that was written last
	refused string            // the machine that has the name; empty: this one
	unread  string            // why the XDPNode can't be read, as was said; empty: it can
	waits   patience
}

// settle is how long to wait for more of what has begun to change.
const settle = 100 * time.Millisecond

// RunNode keeps a node as its XDPNode says, until ctx ends. What runs stays then. Without the API
// server it keeps what it was handed last. Errors: those of Keep, and of the directory.
func RunNode(ctx context.Context, opts NodeOptions) error {
	n := &node{NodeOptions: opts, changed: newWake(), reload: make(chan struct{}), reloaded: newWake(), shown: shown[NodeState]{tell: opts.Tell}}
	if n.Keep == nil {
		n.Keep = agent.Run
	}
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return err
	}
	var err error
	if n.taken, err = recall(n.Dir); err != nil {
		return fmt.Errorf("what the node was handed can't be read: %w", err)
	}
	n.writing, n.read = n.taken, n.taken
	if err := keep(n.Dir, n.taken); err != nil { // it may have been killed while it did
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.informer, err = watchAll(ctx, n.Client, xdpNodes, "metadata.name="+n.Name, nil, n.changed.up,
		&asked{failed: n.failed, log: n.Log, then: "the node stays as it is"})
	if err != nil {
		return err
	}
	kept := make(chan error, 1)
	go func() {
		defer cancel() // of what waits for it
		kept <- n.Keep(ctx, n.options())
	}()
	defer n.withdraw()
	go func() {
		if cache.WaitForCacheSync(ctx.Done(), n.informer.HasSynced) {
			n.changed.up() // also where there is no XDPNode yet
		}
	}()
	for {
		select {
		case err := <-kept:
			return err
		case <-n.changed:
		}
		select {
		case <-ctx.Done():
		case <-time.After(settle): // more may come
		}
		if ctx.Err() != nil || !n.informer.HasSynced() {
			continue
		}
		if err := n.look(ctx); err != nil && ctx.Err() == nil {
			again := n.waits.longer()
			if !stale(err) {
				n.failed(err)
				n.Log.Warn("it is tried again", "error", err, "in", again)
			}
			time.AfterFunc(again, n.changed.up)
			continue
		}
		n.waits.reset()
	}
}

// failed counts an error.
func (n *node) failed(err error) {
	n.shown.change(func(s *NodeState) { s.Errors = count(s.Errors, err) })
}

// options are those of package agent.
func (n *node) options() agent.Options {
	return agent.Options{
		Dir: n.Dir, Prune: n.Prune, Adopt: n.Adopt, Fetch: n.Fetch, Log: n.Log, Alive: n.Alive, By: "xdpmux-kube", Command: "xdpmux-kube node",
		Guard:  func(string, string) *pending.Guard { return &pending.Guard{} }, // no command comes from a cluster
		Reload: n.reload,
		Reloaded: func() {
			n.mu.Lock()
			n.read = n.writing
			n.mu.Unlock()
			n.reloaded.up()
		},
		Tell: func(s agent.Status) {
			n.mu.Lock()
			n.status = &s
			about := n.read
			n.mu.Unlock()
			n.changed.up()
			n.shown.change(func(is *NodeState) { is.Agent, is.HandOuts = &s, reports(about, s) })
		},
	}
}

// look compares the node with its XDPNode, and writes what is missing on either side.
func (n *node) look(ctx context.Context) error {
	v, there, err := n.informer.GetStore().GetByKey(n.Name)
	if err != nil {
		return err
	}
	if !there {
		return n.register(ctx)
	}
	u := v.(*unstructured.Unstructured)
	var is fleet.Node
	if err := from(u, &is); err != nil {
		return n.cantRead(ctx, u, err)
	}
	if err := n.canRead(ctx); err != nil {
		return err
	}
	if is.Status == nil {
		is.Status = &fleet.NodeStatus{}
	}
	mine, err := n.claim(ctx, u, is.Status)
	n.shown.change(func(s *NodeState) { s.Known, s.NameTaken = true, n.refused })
	if err != nil || !mine {
		return err
	}
	if _, told, _ := unstructured.NestedSlice(u.Object, "spec", "handOuts"); told {
		if err := n.obey(ctx, is.Spec.HandOuts); err != nil {
			return err
		}
	}
	return n.say(ctx, u, is.Status.Conditions)
}

// register makes the XDPNode. It goes with its Node.
func (n *node) register(ctx context.Context) error {
	metadata := map[string]any{"name": n.Name}
	of, err := n.Client.Resource(nodes).Get(ctx, n.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("the Node can't be read that the XDPNode is of: %v", err)
	}
	metadata["ownerReferences"] = []any{map[string]any{"apiVersion": "v1", "kind": "Node", "name": n.Name, "uid": string(of.GetUID())}}
	fields, err := fieldsOf(fleet.NodeKind, metadata, "", nil)
	if err != nil {
		return err
	}
	n.said = nil
	_, err = apply(ctx, n.Client, xdpNodes, nodeManager, fields)
	return err
}

// claim makes sure that no other machine speaks for the node.
func (n *node) claim(ctx context.Context, u *unstructured.Unstructured, status *fleet.NodeStatus) (mine bool, err error) {
	switch status.Machine {
	case n.Machine:
		n.refused = ""
		return true, nil
	case "":
		// With a version: of two that claim it at once, one is refused.
		fields, err := fieldsOf(fleet.NodeKind, map[string]any{"name": n.Name, "resourceVersion": u.GetResourceVersion()}, "status", map[string]any{"machine": n.Machine})
		if err == nil {
			_, err = apply(ctx, n.Client, xdpNodes, nodeManager, fields, "status")
		}
		return false, err // the watch brings it back
	}
	if n.refused == status.Machine {
		return false, nil
	}
	text := fmt.Sprintf("machine %s calls itself %s too, which is the name of %s: it changes nothing", n.Machine, n.Name, status.Machine)
	n.Log.Error("the name of the node is another machine's: nothing is changed", "node", n.Name, "machine", n.Machine, "other", status.Machine,
		"remedy", "give the node another name, or delete its XDPNode if the other machine is gone")
	if err := n.sayApart(ctx, n.Machine, fleet.Condition{Type: nameTaken, Status: "True", Reason: "TwoMachines", Message: text}); err != nil {
		return false, err
	}
	n.refused = status.Machine
	n.tell(ctx, u, "Warning", nameTaken, "Claim", text)
	return false, nil
}

// sayApart writes conditions to the status that are none of what say writes. Nobody else says
// anything by the name apart.
func (n *node) sayApart(ctx context.Context, apart string, conditions ...fleet.Condition) error {
	status := map[string]any{}
	for i := range conditions {
		conditions[i].LastTransitionTime = time.Now().UTC().Format(time.RFC3339)
		status["conditions"] = conditions
	}
	fields, err := fieldsOf(fleet.NodeKind, map[string]any{"name": n.Name}, "status", status)
	if err == nil {
		_, err = apply(ctx, n.Client, xdpNodes, nodeManager+"-"+apart, fields, "status")
	}
	return err
}

// cantRead says that the XDPNode can't be read. What runs stays.
func (n *node) cantRead(ctx context.Context, u *unstructured.Unstructured, why error) error {
	n.shown.change(func(s *NodeState) { s.Known, s.Unread = true, why })
	if n.unread == why.Error() {
		return nil // it is looked at again when it changes
	}
	n.failed(why)
	n.Log.Error("what the node is handed can't be read: what runs stays", "error", why, "remedy", "update the agent, or the custom resource definitions of deploy/crds.yaml")
	if err := n.sayApart(ctx, unreadable, fleet.Condition{Type: unreadable, Status: "True", Reason: "OtherVersion", Message: why.Error()}); err != nil {
		return err
	}
	n.unread = why.Error()
	n.tell(ctx, u, "Warning", unreadable, "Read", why.Error())
	return nil
}

// canRead takes back what cantRead has said, if it has.
func (n *node) canRead(ctx context.Context) error {
	if n.unread == "" {
		return nil
	}
	if err := n.sayApart(ctx, unreadable); err != nil {
		return err
	}
	n.unread = ""
	n.shown.change(func(s *NodeState) { s.Unread = nil })
	return nil
}

// tell writes an event.
func (n *node) tell(ctx context.Context, u *unstructured.Unstructured, kind, reason, action, note string) {
	if err := tell(ctx, n.Client, u, nodeManager, n.Name, kind, reason, action, note); err != nil {
		n.Log.Warn("no event can be written", "error", err)
	}
}

// obey has the machine kept as it was handed.
func (n *node) obey(ctx context.Context, handed []fleet.HandOut) error {
	if slices.EqualFunc(handed, n.taken, func(h fleet.HandOut, t taken) bool {
		return h.Chain == t.HandOut.Chain && h.UID == t.HandOut.UID && h.Revision == t.HandOut.Revision && h.Generation == t.HandOut.Generation
	}) {
		return nil
	}
	all := take(ctx, n.taken, handed)
	n.mu.Lock()
	n.writing, n.status = all, nil
	n.mu.Unlock()
	if err := keep(n.Dir, all); err != nil {
		return err
	}
	for _, t := range all {
		n.Log.Info("handed out", "chain", t.HandOut.Chain, "generation", t.HandOut.Generation, "revision", t.HandOut.Revision)
		if t.Err != "" {
			n.Log.Error("a hand-out can't be used: what ran before stays", "chain", t.HandOut.Chain, "error", t.Err)
		}
	}
	select {
	case n.reload <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-n.reloaded:
	case <-ctx.Done():
		return ctx.Err()
	}
	n.taken = all
	return nil
}

// say writes how the node is, if that isn't written yet.
func (n *node) say(ctx context.Context, u *unstructured.Unstructured, before []fleet.Condition) error {
	n.mu.Lock()
	status, about := n.status, n.read
	n.mu.Unlock()
	if status == nil {
		return nil // it comes
	}
	if n.said != nil {
		before = n.said.Conditions
	}
	says := report(before, time.Now(), n.Machine, n.Version, about, *status)
	if n.said != nil && reflect.DeepEqual(says, *n.said) {
		return nil
	}
	fields, err := fieldsOf(fleet.NodeKind, map[string]any{"name": n.Name}, "status", says)
	if err != nil {
		return err
	}
	if _, err := apply(ctx, n.Client, xdpNodes, nodeManager, fields, "status"); err != nil {
		return err
	}
	if i := slices.IndexFunc(says.Conditions, func(c fleet.Condition) bool { return c.Type == tagMoved }); i >= 0 && !slices.ContainsFunc(before, func(c fleet.Condition) bool {
		return c.Type == tagMoved && c.Message == says.Conditions[i].Message
	}) {
		n.tell(ctx, u, "Normal", tagMoved, "Fetch", says.Conditions[i].Message)
	}
	n.said = &says
	for _, r := range says.Chains {
		if r.Outcome == fleet.TakenBack || r.Outcome == fleet.Failed {
			n.tell(ctx, u, "Warning", string(r.Outcome), "Apply", fmt.Sprintf("%s %s, generation %d: %s", fleet.ChainKind, r.Chain, r.Generation, r.Reason))
		}
	}
	return nil
}

// withdraw takes back that this machine has the name of another one.
func (n *node) withdraw() {
	if n.refused == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := n.sayApart(ctx, n.Machine); err != nil {
		n.Log.Warn("that this machine had the name of another one still stands in the XDPNode", "error", err)
	}
}
