package dispatcher

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// defaultPriority is that of a program whose priority nobody has said.
const defaultPriority = 50

// openLinked opens a program of another chain. The slot says which place it takes in this one.
func openLinked(s Setting) (slot, error) {
	fd, err := loaded.OpenProg(s.ID)
	if errors.Is(err, syscall.ENOENT) {
		return slot{}, &xdp.Error{Kind: xdp.ErrNoProgram, Err: err, Msg: fmt.Sprintf("program %d is not loaded", s.ID)}
	}
	if err != nil {
		return slot{}, privilege.Explain(err)
	}
	p, err := loaded.ByFD(fd.Int())
	if err == nil && p.ProgType != libbpf.ProgTypeExt {
		err = &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("%v is not a program of a chain", p.Loaded)}
	}
	if err != nil {
		fd.Close()
		return slot{}, err
	}
	m := slot{Slot: protocol.Slot{Program: p, Prog: fd, SlotConfig: protocol.SlotConfig{Priority: defaultPriority, Actions: *xdp.On(xdp.Pass)}}}
	s.apply(&m.SlotConfig)
	return m, nil
}
