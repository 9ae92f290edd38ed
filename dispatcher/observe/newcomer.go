package observe

import (
	"slices"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// newcomer follows an interface that has got a program. It returns nil if not all interfaces
// are observed, or if this one is already.
func (o *Observer) newcomer(all []*followed, l *netlink.LinkAttrs) *followed {
	if !o.everything || stateOf(l).mainID == 0 || slices.ContainsFunc(all, func(f *followed) bool { return f.iface.Index == l.Index }) {
		return nil
	}
	interfaces := len(all) + 1
	return newFollowed(xdp.Interface{Name: l.Name, Index: l.Index}, mastered()[l.Index], o.counters, &interfaces)
}

// newcomers looks for interfaces that the kernel hasn't told of. It doesn't tell when a
// program comes by a bpf_link or to an interface that is down, nor when its buffer is full.
func (o *Observer) newcomers(all []*followed) (found []*followed) {
	if !o.everything || time.Since(o.looked) < time.Second {
		return nil
	}
	o.looked = time.Now()
	links, err := netlink.LinkList()
	if err != nil {
		return nil // the next Read looks again
	}
	for _, l := range links {
		if f := o.newcomer(append(all, found...), l.Attrs()); f != nil {
			found = append(found, f)
		}
	}
	return found
}

// forget lets go of interfaces that are gone, once their programs aren't named any more.
func (o *Observer) forget(all []*followed) []*followed {
	return slices.DeleteFunc(all, func(f *followed) bool {
		gone := o.everything && f.vanished && len(f.rows) == 0
		if gone {
			f.close()
		}
		return gone
	})
}
