package protocol

import "github.com/xdpmux/xdpmux/cgo/libbpf"

// Held is a program in its slot.
type Held struct {
	Prog *libbpf.FD // nil: it is gone
	Link *libbpf.FD // what holds it there; nil: nothing does

	ProgPinned, LinkPinned bool // where the protocol has the pins
}
