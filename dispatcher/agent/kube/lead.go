package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/xdpmux/xdpmux/dispatcher/fleet"
	"github.com/xdpmux/xdpmux/dispatcher/fleet/rollout"
)

// LeadOptions says who leads.
type LeadOptions struct {
	Client    dynamic.Interface
	Leases    coordination.LeasesGetter
	Namespace string // of the Lease
	Identity  string // what tells this process from the others that would lead

	// TakeOver is how long after the last word of a leader another one takes its place; 0: 15 s.
	TakeOver time.Duration

	Tell func(LeaderState) // is told how things are whenever something has happened; nil: nobody is. It doesn't wait
	Log  *slog.Logger

	// Stuck says that this process has led for longer than it may, as it couldn't say so; nil: nobody asks.
	Stuck *leaderelection.HealthzAdaptor
}

// leaseName is the name of the Lease.
const leaseName = "xdpmux-leader"

// atOnce is how many objects are written at the same time.
const atOnce = 16

// leader is what Lead works on while it leads.
type leader struct {
	LeadOptions
	chains, xdpNodes, nodes cache.SharedIndexInformer
	changed                 wake
	waits                   patience
	shown                   *shown[LeaderState]
	unread                  map[string]string // why which XDPNodes can't be read, as was said
}

// Lead waits until it leads, and hands out what rollout decides until ctx ends, or another one
// leads. Then it returns.
func Lead(ctx context.Context, opts LeadOptions) error {
	if opts.TakeOver == 0 {
		opts.TakeOver = 15 * time.Second
	}
	var failed error
	shown := &shown[LeaderState]{tell: opts.Tell}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{LeaseMeta: metav1.ObjectMeta{Name: leaseName, Namespace: opts.Namespace}, Client: opts.Leases,
			LockConfig: resourcelock.ResourceLockConfig{Identity: opts.Identity}},
		LeaseDuration: opts.TakeOver, RenewDeadline: opts.TakeOver * 2 / 3, RetryPeriod: opts.TakeOver / 7,
		ReleaseOnCancel: true, WatchDog: opts.Stuck,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				opts.Log.Info("leads", "identity", opts.Identity)
				shown.change(func(s *LeaderState) { s.Leads = true })
				failed = (&leader{LeadOptions: opts, changed: newWake(), shown: shown, unread: map[string]string{}}).run(ctx)
				cancel()
			},
			OnStoppedLeading: func() {
				opts.Log.Info("leads no more", "identity", opts.Identity)
				shown.change(func(s *LeaderState) { s.Leads, s.Chains = false, nil })
			},
			OnNewLeader: func(identity string) { shown.change(func(s *LeaderState) { s.Leader = identity }) },
		},
	})
	if err != nil {
		return err
	}
	elector.Run(ctx)
	return failed
}

// run decides whenever something has changed.
func (l *leader) run(ctx context.Context) error {
	asked := &asked{failed: l.failed, log: l.Log, then: "nothing is handed out"}
	var errs [3]error
	l.chains, errs[0] = watchAll(ctx, l.Client, chains, "", nil, l.changed.up, asked)
	l.xdpNodes, errs[1] = watchAll(ctx, l.Client, xdpNodes, "", nil, l.changed.up, asked)
	l.nodes, errs[2] = watchAll(ctx, l.Client, nodes, "", labelsAndReady, l.changed.up, asked)
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	if !cache.WaitForCacheSync(ctx.Done(), l.chains.HasSynced, l.xdpNodes.HasSynced, l.nodes.HasSynced) {
		return nil
	}
	l.changed.up()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-l.changed:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(settle): // more may come
		}
		again, err := l.decide(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			in := l.waits.longer()
			if !stale(err) {
				l.failed(err)
				l.Log.Warn("not all could be written: it is tried again", "error", err, "in", in)
			}
			time.AfterFunc(in, l.changed.up)
		default:
			l.waits.reset()
			if !again.IsZero() {
				time.AfterFunc(time.Until(again), l.changed.up)
			}
		}
	}
	return nil
}

// failed counts an error.
func (l *leader) failed(err error) {
	l.shown.change(func(s *LeaderState) { s.Errors = count(s.Errors, err) })
}

// labelsAndReady keeps of a Node what the leader wants to know.
func labelsAndReady(v any) (any, error) {
	u, ok := v.(*unstructured.Unstructured)
	if !ok {
		return v, nil
	}
	small := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": u.GetName(), "resourceVersion": u.GetResourceVersion()}}}
	small.SetLabels(u.GetLabels())
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Ready" {
			small.Object["ready"] = c["status"] == "True"
		}
	}
	return small, nil
}

// chain is an XDPChain as it was read.
type chain struct {
	object *unstructured.Unstructured
	is     fleet.Chain
}

// decide has rollout decide, and writes what follows. again is when to do that anew at the latest.
func (l *leader) decide(ctx context.Context) (again time.Time, err error) {
	found := map[string]chain{}
	var all []rollout.Chain
	for _, v := range l.chains.GetStore().List() {
		c := chain{object: v.(*unstructured.Unstructured)}
		in := rollout.Chain{Name: c.object.GetName(), UID: string(c.object.GetUID())}
		in.Content.Generation = c.object.GetGeneration()
		if err := from(c.object, &c.is); err != nil {
			in.Invalid = err.Error()
		} else {
			fill(ctx, &in, c.is)
		}
		found[in.Name] = c
		all = append(all, in)
	}
	byName, unread := map[string]*unstructured.Unstructured{}, map[string]string{}
	var members []rollout.Node
	for _, v := range l.xdpNodes.GetStore().List() {
		u := v.(*unstructured.Unstructured)
		var is fleet.Node
		if err := from(u, &is); err != nil {
			l.cantRead(ctx, u, err)
			unread[u.GetName()] = err.Error()
			continue
		}
		of, there, err := l.nodes.GetStore().GetByKey(u.GetName())
		if err != nil || !there {
			continue // it goes with its Node
		}
		node := of.(*unstructured.Unstructured)
		isReady, _ := node.Object["ready"].(bool)
		in := rollout.Node{Name: u.GetName(), Labels: node.GetLabels(), Ready: isReady, HandOuts: is.Spec.HandOuts}
		if is.Status != nil {
			in.Reports = is.Status.Chains
			in.Ready = in.Ready && is.Status.Machine != ""
		} else {
			in.Ready = false
		}
		byName[in.Name] = u
		members = append(members, in)
	}
	l.unread = unread
	d := rollout.Decide(time.Now().UTC().Truncate(time.Second), all, members)
	for name, u := range byName {
		if _, told, _ := unstructured.NestedSlice(u.Object, "spec", "handOuts"); !told && d.Nodes[name] == nil {
			d.Nodes[name] = []fleet.HandOut{} // a node that was told nothing changes nothing
		}
	}
	l.show(d, members)
	for _, c := range found {
		if err := l.writeStatus(ctx, c, d.Chains[c.object.GetName()]); err != nil {
			return again, err
		}
	}
	return d.Again, l.each(slices.Sorted(maps.Keys(d.Nodes)), func(name string) error {
		return l.handOut(ctx, byName[name], d.Nodes[name])
	})
}

// show tells how roll-outs stand.
func (l *leader) show(d rollout.Decision, members []rollout.Node) {
	all := map[string]ChainState{}
	for name, status := range d.Chains {
		all[name] = ChainState{status, map[fleet.Outcome]int{}}
	}
	for _, n := range members {
		for _, r := range n.Reports {
			if c, ok := all[r.Chain]; ok {
				c.Outcomes[r.Outcome]++
			}
		}
	}
	l.shown.change(func(s *LeaderState) { s.Chains, s.Unread = all, len(l.unread) })
}

// cantRead says once that an XDPNode can't be read.
func (l *leader) cantRead(ctx context.Context, u *unstructured.Unstructured, why error) {
	if l.unread[u.GetName()] == why.Error() {
		return
	}
	l.failed(why)
	l.Log.Error("an XDPNode can't be read, and is left out", "node", u.GetName(), "error", why)
	l.tell(ctx, u, "Warning", unreadable, "Read", why.Error())
}

// tell writes an event.
func (l *leader) tell(ctx context.Context, about *unstructured.Unstructured, kind, reason, action, note string) {
	if err := tell(ctx, l.Client, about, leaderManager, l.Identity, kind, reason, action, note); err != nil {
		l.Log.Warn("no event can be written", "error", err)
	}
}

// fill reads what the spec of a chain asks for.
func fill(ctx context.Context, in *rollout.Chain, is fleet.Chain) {
	in.Selector = is.Spec.NodeSelector
	in.Max = fleet.Share{Nodes: 1}
	if r := is.Spec.Rollout; r != nil {
		in.Max, in.Pause = r.MaxUnavailable, r.Pause
		in.Content.Confirm, in.Content.GuardDrops, in.Content.GuardBefore = r.Confirm, r.GuardDrops, r.GuardBefore
	}
	if is.Status != nil {
		in.Status = *is.Status
	}
	in.Content.Interfaces = is.Spec.Interfaces
	_, err := in.Content.Interfaces.State(ctx, fleet.ChainKind+" "+in.Name)
	if err == nil {
		in.Content.Revision, err = in.Content.Interfaces.Revision()
	}
	if err != nil {
		in.Invalid = err.Error()
	}
}

// each calls write for all names, some at the same time. Of what has changed meanwhile the watch
// tells, and it is decided anew.
func (l *leader) each(names []string, write func(name string) error) error {
	var running sync.WaitGroup
	errs := make([]error, len(names))
	places := make(chan struct{}, atOnce)
	for i, name := range names {
		running.Add(1)
		places <- struct{}{}
		go func() {
			defer func() { <-places; running.Done() }()
			if err := write(name); err != nil && !stale(err) {
				errs[i] = fmt.Errorf("%s: %w", name, err)
			}
		}()
	}
	running.Wait()
	return errors.Join(errs...)
}

// handOut writes the hand-outs of a node.
func (l *leader) handOut(ctx context.Context, u *unstructured.Unstructured, all []fleet.HandOut) error {
	// With a version: what was decided about an older one is decided anew.
	metadata := map[string]any{"name": u.GetName(), "resourceVersion": u.GetResourceVersion()}
	fields, err := fieldsOf(fleet.NodeKind, metadata, "spec", map[string]any{"handOuts": all})
	if err == nil {
		_, err = apply(ctx, l.Client, xdpNodes, leaderManager, fields)
	}
	return err
}

// writeStatus writes the status of a chain, and an event where its roll-out has come to another
// point.
func (l *leader) writeStatus(ctx context.Context, c chain, status fleet.ChainStatus) error {
	if c.is.Status != nil && reflect.DeepEqual(*c.is.Status, status) {
		return nil
	}
	fields, err := fieldsOf(fleet.ChainKind, map[string]any{"name": c.object.GetName(), "resourceVersion": c.object.GetResourceVersion()}, "status", status)
	if err != nil {
		return err
	}
	if _, err := apply(ctx, l.Client, chains, leaderManager, fields, "status"); err != nil {
		return err
	}
	var before []fleet.Condition
	if c.is.Status != nil {
		before = c.is.Status.Conditions
	}
	for _, now := range status.Conditions {
		i := slices.IndexFunc(before, func(o fleet.Condition) bool { return o.Type == now.Type })
		if now.Type == rollout.Conflicted && now.Status == "False" || i >= 0 && before[i].Reason == now.Reason {
			continue
		}
		kind := "Normal"
		if now.Type == rollout.Conflicted || slices.Contains([]string{"TakingBack", "TakenBack", "Invalid", "Conflict"}, now.Reason) {
			kind = "Warning"
		}
		l.Log.Info("roll-out", "chain", c.object.GetName(), "reason", now.Reason, "message", now.Message)
		l.tell(ctx, c.object, kind, now.Reason, "Rollout", now.Message)
	}
	return nil
}
