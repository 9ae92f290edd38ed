package observe

import (
	"errors"

	"github.com/vishvananda/netlink"
)

// state is what the kernel says of an interface at one moment.
type state struct {
	name     string // empty: it is gone
	mainID   uint32 // 0: none
	received uint64 // packets
}

// lookAt asks for the state. It returns an error if the state can't be read now.
func lookAt(index int) (state, error) {
	l, err := netlink.LinkByIndex(index)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	return stateOf(l.Attrs()), nil
}

func stateOf(l *netlink.LinkAttrs) state {
	s := state{name: l.Name}
	if l.Xdp != nil && l.Xdp.Attached {
		s.mainID = l.Xdp.ProgId
	}
	if l.Statistics != nil {
		s.received = l.Statistics.RxPackets
	}
	return s
}

// mastered are the interfaces that have a master, by the master. A bond, for instance, hands
// its program to its members, and packets come in there.
func mastered() map[int][]int {
	all := map[int][]int{}
	links, err := netlink.LinkList()
	if err != nil {
		return all
	}
	for _, l := range links {
		// An interface with a program of its own hasn't got its master's.
		if a := l.Attrs(); a.MasterIndex != 0 && stateOf(a).mainID == 0 {
			all[a.MasterIndex] = append(all[a.MasterIndex], a.Index)
		}
	}
	return all
}
