package dispatcher

import (
	"context"
	"errors"
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// attachAlone attaches a program without a dispatcher, as libxdp does where none can be.
// why is the error that says so. libxdp isn't asked: it would try a dispatcher of its own
// first, which may have another version than the host's.
func attachAlone(ctx context.Context, ifname string, program xdp.Program, mode xdp.Mode, why error) (*Attachment, error) {
	l, err := device.ByName(ifname)
	if err != nil {
		return nil, err
	}
	o, err := object.Open(ctx, program)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	if mode, err = chooseMode(l, mode); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	said, err := native.Recorded(func() error {
		if err := o.LoadAlone(); err != nil {
			return err
		}
		if _, err := l.Again(); err != nil {
			return err
		}
		return libbpf.XDPAttach(l.Index, o.Bpf.FD(), xdpFlag(mode)|libbpf.XDPUpdateIfNoExist, -1)
	})
	if err != nil {
		o.Pins.Undo()
		var explained *xdp.Error
		if errors.As(err, &explained) {
			return nil, err
		}
		return nil, explainAttach(l, []*object.Program{o}, mode, err, said)
	}
	p, err := loaded.ByFD(o.Bpf.FD())
	if err != nil {
		return nil, err
	}
	return &Attachment{Interface: l.Interface, Fallback: fallbackReason(why),
		Programs: []Component{{Loaded: p.Loaded, Priority: o.Priority, Actions: o.Actions, Frags: o.Frags}}}, nil
}

// fallbackReason is why no dispatcher can be, in the words of the error that says so.
func fallbackReason(why error) string {
	var e *xdp.Error
	if !errors.As(why, &e) {
		return why.Error()
	}
	reason := strings.TrimPrefix(e.Msg, "no dispatcher possible: ")
	if e.Remedy != "" {
		reason += "; " + e.Remedy
	}
	return reason
}
