package loaded

import (
	"errors"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// EachLink calls f for every link of the kernel.
func EachLink(f func(*libbpf.LinkInfo) error) error {
	for id := uint32(0); ; {
		next, err := NextLink(id)
		if errors.Is(err, syscall.ENOENT) {
			return nil
		}
		if err != nil {
			return err
		}
		id = next
		info, err := linkInfo(id)
		if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.EAGAIN) {
			continue // it is gone meanwhile, or isn't made yet
		}
		if err == nil {
			err = f(info)
		}
		if err != nil {
			return err
		}
	}
}

// Holding is an interface and the program that a bpf_link holds on it.
type Holding struct {
	Ifindex int
	ProgID  uint32
}

// HoldingLinks finds the links that hold programs on interfaces. It finds none where links
// can't be listed: chains can't be read there either, and that is an error.
func HoldingLinks() map[Holding]uint32 {
	held := map[Holding]uint32{}
	_ = EachLink(func(l *libbpf.LinkInfo) error {
		if l.Type == libbpf.LinkTypeXDP {
			held[Holding{Ifindex: l.Ifindex, ProgID: l.ProgID}] = l.ID
		}
		return nil
	})
	return held
}
