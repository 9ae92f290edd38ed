package protocol

import (
	"os"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
)

func (h Held) Close() {
	h.Link.Close()
	h.Prog.Close()
}

// Hold opens a program and the link that holds it in its slot. What isn't there is left
// out.
func (s *Dispatcher) Hold(i int) (h Held, err error) {
	if h.Prog, err = libbpf.ProgByID(s.Slots[i].ID); err != nil {
		return h, loaded.UnlessGone(err)
	}
	if s.Pins != "" {
		if h.Link, err = libbpf.ObjGet(LinkPin(s.Pins, i)); err == nil {
			h.LinkPinned = true
		}
		_, err := os.Lstat(ProgPin(s.Pins, i))
		h.ProgPinned = err == nil
	}
	if h.Link != nil {
		return h, nil
	}
	if s.Slots[i].LinkID == 0 {
		if err := s.findByLinks(); err != nil {
			return h, err
		}
	}
	if id := s.Slots[i].LinkID; id != 0 {
		h.Link, err = libbpf.LinkByID(id)
	}
	return h, loaded.UnlessGone(err)
}
