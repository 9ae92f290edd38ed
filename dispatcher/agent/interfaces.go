package agent

import (
	"cmp"
	"context"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
)

// linkSettle is how long the agent waits for more of what has begun to happen to an interface.
const linkSettle = 20 * time.Millisecond

// goneSettle is how long the agent waits for more interfaces to go before it tells of it: where there
// are many, to tell of all takes longer than what there is to do for one.
const goneSettle = 100 * time.Millisecond

// declare begins to keep an interface that the files declare.
func (a *agent) declare(d device.Device, now time.Time) {
	if a.kept[d.Index] != nil || a.state == nil {
		return
	}
	if wants, _ := a.state.Wants(d.Name); wants {
		a.kept[d.Index] = &kept{Index: d.Index, Name: d.Name, due: now}
	}
}

// hear takes what the kernel tells of interfaces.
func (a *agent) hear(ctx context.Context) error {
	notices, missed, err := a.links.Take()
	if err != nil {
		return err
	}
	for _, n := range notices {
		if n.Gone {
			if k := cmp.Or(a.kept[n.Index], a.missing[n.Index]); k != nil && n.Deleted {
				a.deleted(ctx, k, cmp.Or(n.ProgID, a.devices[n.Index].ProgID))
			}
			delete(a.missing, n.Index)
			a.gone(n.Index)
		} else {
			a.there(n.Device)
		}
	}
	if missed {
		a.Log.Warn("the kernel told more of interfaces than could be kept, so all are looked at")
		return a.lookAtAll()
	}
	return nil
}

// lookAtAll asks for all interfaces.
func (a *agent) lookAtAll() error {
	all, err := device.All()
	if err != nil {
		return err
	}
	here := map[int]bool{}
	for _, d := range all {
		here[d.Index] = true
		a.there(d)
	}
	for index := range a.devices {
		if !here[index] {
			delete(a.devices, index)
		}
	}
	for index, k := range a.kept {
		if !here[index] {
			a.missing[index] = k
			a.gone(index)
		}
	}
	return nil
}

// forgetMissing gives up to wait for news of interfaces that are gone.
func (a *agent) forgetMissing() {
	for _, k := range a.missing {
		if k.attached != 0 {
			a.Log.Warn("nobody told how this interface went: if it was deleted, what it has left stays until xdpmux cleans", "interface", k.Name)
		}
	}
	clear(a.missing)
}

func (a *agent) gone(index int) {
	if k := a.kept[index]; k != nil {
		a.tells = earlier(a.tells, time.Now().Add(goneSettle))
		a.Log.Info("the interface is gone", "interface", k.Name)
	}
	delete(a.devices, index)
	delete(a.kept, index)
}

// there is told of an interface that is there.
func (a *agent) there(d device.Device) {
	soon := time.Now().Add(linkSettle)
	before := a.devices[d.Index]
	a.devices[d.Index] = d
	k := a.kept[d.Index]
	switch {
	case k == nil:
		a.declare(d, soon)
	case k.Name != d.Name:
		a.Log.Info("the interface is called otherwise", "interface", d.Name, "before", k.Name)
		a.news = true
		a.totals.Renames++
		k.before = k.Name
		k.Name, k.Declared, k.Trying = d.Name, "", ""
		k.lookAt(soon)
	case k.attached != d.ProgID, k.err != nil && before.ProgID != d.ProgID:
		k.lookAt(soon)
	}
}

// looks is how many interfaces tick has compared with what is declared.
const looks = 32

// lookAround has some of the interfaces looked at, others each time.
func (a *agent) lookAround(now time.Time) {
	all := a.sorted()
	for range min(looks, len(all)) {
		all[a.turn%len(all)].lookAt(now)
		a.turn++
	}
}
