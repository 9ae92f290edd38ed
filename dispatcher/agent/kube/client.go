package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"github.com/xdpmux/xdpmux/dispatcher/fleet"
)

var (
	chains   = schema.GroupVersionResource{Group: fleet.Group, Version: fleet.Version, Resource: "xdpchains"}
	xdpNodes = schema.GroupVersionResource{Group: fleet.Group, Version: fleet.Version, Resource: "xdpnodes"}
	nodes    = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	events   = schema.GroupVersionResource{Group: "events.k8s.io", Version: "v1", Resource: "events"}
)

// The names under which fields are applied (server-side apply).
const (
	nodeManager   = "xdpmux-node"
	leaderManager = "xdpmux-leader"
)

// from turns an object of the API server into one of ours. Errors: errUnread.
func from(u *unstructured.Unstructured, into any) error {
	text, err := u.MarshalJSON()
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("%s %s can't be read, %w: %w", u.GetKind(), u.GetName(), errUnread, err)
	}
	return nil
}

// apply applies fields of an object, of which fields is the whole that manager says of it.
func apply(ctx context.Context, client dynamic.Interface, of schema.GroupVersionResource, manager string, fields map[string]any, subresources ...string) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{Object: fields}
	return client.Resource(of).Apply(ctx, u.GetName(), u, metav1.ApplyOptions{FieldManager: manager, Force: true}, subresources...)
}

// fieldsOf are what is applied to an object of ours.
func fieldsOf(kind string, metadata map[string]any, part string, value any) (map[string]any, error) {
	fields := map[string]any{"apiVersion": fleet.APIVersion, "kind": kind, "metadata": metadata}
	if value == nil {
		return fields, nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, err
	}
	fields[part] = plain
	return fields, nil
}

// watchAll calls changed whenever an object of a resource comes, changes or goes. keep makes it
// smaller for the cache; nil: it stays whole.
func watchAll(ctx context.Context, client dynamic.Interface, of schema.GroupVersionResource, fields string, keep cache.TransformFunc, changed func(), asked *asked) (cache.SharedIndexInformer, error) {
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = fields
			all, err := client.Resource(of).List(ctx, o)
			asked.note(ctx, err)
			return all, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = fields
			w, err := client.Resource(of).Watch(ctx, o)
			asked.note(ctx, err)
			return w, err
		},
	}
	informer := cache.NewSharedIndexInformer(source, &unstructured.Unstructured{}, 0, cache.Indexers{})
	trim := func(v any) (any, error) {
		if u, ok := v.(*unstructured.Unstructured); ok {
			u.SetManagedFields(nil)
		}
		if keep != nil {
			return keep(v)
		}
		return v, nil
	}
	if err := errors.Join(informer.SetTransform(trim), informer.SetWatchErrorHandler(func(*cache.Reflector, error) {})); err != nil {
		return nil, err
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { changed() }, UpdateFunc: func(any, any) { changed() }, DeleteFunc: func(any) { changed() },
	})
	if err != nil {
		return nil, err
	}
	go informer.RunWithContext(ctx)
	return informer, nil
}

// asked notes whether the API server answers. client-go says nothing of one that refuses connections,
// so it is noted with each request.
type asked struct {
	failed func(error)
	log    *slog.Logger
	then   string // what follows while it can't be asked

	mu   sync.Mutex
	away bool
}

func (a *asked) note(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err != nil:
		a.failed(err)
		if !a.away {
			a.log.Warn("the API server can't be asked: "+a.then, "error", err)
		}
	case a.away:
		a.log.Info("the API server answers again")
	}
	a.away = err != nil
}

// wake is told that there is something to do, however often that is before somebody looks.
type wake chan struct{}

func newWake() wake { return make(wake, 1) }

func (w wake) up() {
	select {
	case w <- struct{}{}:
	default:
	}
}

// patience is how long to wait before something is tried again, doubled each time.
type patience struct{ next time.Duration }

const (
	firstPatience = time.Second
	lastPatience  = 30 * time.Second
)

func (p *patience) longer() time.Duration {
	p.next = min(max(firstPatience, 2*p.next), lastPatience)
	return p.next
}

func (p *patience) reset() { p.next = 0 }

// tell writes an event about one of our objects. That it can't be written is no reason to stop.
func tell(ctx context.Context, client dynamic.Interface, about *unstructured.Unstructured, controller, instance, kind, reason, action, note string) error {
	if len(note) > 1024 {
		note = note[:1021] + "..."
	}
	now := metav1.NowMicro().UTC()
	event := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "events.k8s.io/v1", "kind": "Event",
		"metadata":            map[string]any{"name": fmt.Sprintf("%s.%x", about.GetName(), now.UnixNano()), "namespace": metav1.NamespaceDefault},
		"eventTime":           now.Format(metav1.RFC3339Micro),
		"reportingController": fleet.Group + "/" + controller, "reportingInstance": instance,
		"type": kind, "reason": reason, "action": action, "note": note,
		"regarding": map[string]any{"apiVersion": fleet.APIVersion, "kind": about.GetKind(), "name": about.GetName(), "uid": string(about.GetUID())},
	}}
	_, err := client.Resource(events).Namespace(metav1.NamespaceDefault).Create(ctx, event, metav1.CreateOptions{FieldManager: controller})
	return err
}

// stale says whether an error is of an object that has changed since it was read, or is there no
// more. The watch tells how it is by now.
func stale(err error) bool { return apierrors.IsConflict(err) || apierrors.IsNotFound(err) }
