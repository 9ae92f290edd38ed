package protocol

import (
	"cmp"
	"os"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
)

// Hold opens the program of a slot, unless it is open, and the link that holds it there. What is
// gone is left out.
func (s *Dispatcher) Hold(i int) (err error) {
	slot := &s.Slots[i]
	dir := cmp.Or(s.Pins, s.kept)
	if slot.Prog == nil {
		if slot.Prog, err = OpenComponent(s.ifindex, s.ID, i, slot.ID); err != nil {
			slot.Program = loaded.Program{}
			return loaded.UnlessGone(err)
		}
		if s.Pins != "" {
			_, err := os.Lstat(ProgPin(dir, i))
			slot.ProgPinned = err == nil
		}
	}
	if dir != "" {
		slot.Link, err = libbpf.ObjGet(LinkPin(dir, i))
		slot.LinkPinned = err == nil && s.Pins != ""
	}
	if slot.Link != nil {
		return nil
	}
	if slot.LinkID == 0 {
		if err := s.findByLinks(); err != nil {
			return err
		}
	}
	if slot.LinkID != 0 {
		slot.Link, err = loaded.OpenLink(slot.LinkID)
	}
	return loaded.UnlessGone(err)
}

// Close lets go of what Open and Hold have opened. It takes a nil dispatcher.
func (s *Dispatcher) Close() {
	if s == nil {
		return
	}
	s.Map.Close()
	for i := range s.Slots {
		s.Slots[i].Link.Close()
		s.Slots[i].Prog.Close()
	}
}
