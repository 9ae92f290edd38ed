package protocol

import (
	"os"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
)

// Hold opens the program of a slot and the link that holds it there. What is gone is left
// out.
func (s *Dispatcher) Hold(i int) (err error) {
	slot := &s.Slots[i]
	if slot.Prog, err = libbpf.ProgByID(slot.ID); err != nil {
		slot.Program = loaded.Program{}
		return loaded.UnlessGone(err)
	}
	if s.Pins != "" {
		if slot.Link, err = libbpf.ObjGet(LinkPin(s.Pins, i)); err == nil {
			slot.LinkPinned = true
		}
		_, err := os.Lstat(ProgPin(s.Pins, i))
		slot.ProgPinned = err == nil
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
		slot.Link, err = libbpf.LinkByID(slot.LinkID)
	}
	return loaded.UnlessGone(err)
}

// Close lets go of what Hold has opened. It takes a nil dispatcher.
func (s *Dispatcher) Close() {
	if s == nil {
		return
	}
	for i := range s.Slots {
		s.Slots[i].Link.Close()
		s.Slots[i].Prog.Close()
	}
}
