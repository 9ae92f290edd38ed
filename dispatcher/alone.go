package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libxdp"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// This file has all that isn't a chain: a legacy program, which has an interface to itself
// as no dispatcher can be there, and an offloaded one, which has its device. Only an
// offload goes through libxdp. For a legacy program libxdp would try a dispatcher first, of
// a version that may be another than the host's.

// attachAlone attaches a program without a dispatcher, to the interface or in hw mode to
// its device. why is the error that says why no dispatcher can be; nil: none was wanted.
func attachAlone(ctx context.Context, ifname string, program xdp.Program, opts AttachOptions, why error) (*Attachment, error) {
	l, err := device.ByName(ifname)
	if err != nil {
		return nil, err
	}
	o, err := object.Open(ctx, program)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	mode, err := Transaction{Mode: opts.Mode}.chooseMode(l)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := checkBinding(mode, o); err != nil {
		return nil, err
	}
	trace, after := traceOf(ctx), readChain(l)
	changing := func(p *xdp.Loaded) {
		before := *after
		if mode == xdp.ModeHW {
			after.Hardware = p
		} else {
			after.Legacy, after.Mode = p, &mode
		}
		trace.Changing(&before, after, map[uint32]xdp.Program{p.ID: o.Spec})
	}
	said, err := native.Recorded(func() error {
		if mode == xdp.ModeHW {
			if err := changingHardware(l, opts.Changing); err != nil {
				return err
			}
			changing(&xdp.Loaded{Name: o.Bpf.Name()})
			return offload(ctx, l, o)
		}
		if err := o.BindTo(l.Index); err != nil {
			return err
		}
		if err := o.LoadAlone(); err != nil {
			return err
		}
		p, err := loaded.ByFD(o.Bpf.FD())
		if err != nil {
			return err
		}
		if err := tellAlone(o, p, opts.BeforeSwap); err != nil {
			return err
		}
		if err := changingAlone(l, mode, &openChain{}, o, opts.Changing); err != nil {
			return err
		}
		root, err := pinCallArraysAlone(ctx, o)
		if err != nil {
			return err
		}
		defer root.Close()
		changing(&p.Loaded)
		if _, err := l.Again(); err != nil {
			return err
		}
		if err := attachXDP(l.Index, o.Bpf.FD(), noProgram, mode); err != nil {
			return err
		}
		return takenForAnother(l, o.Bpf.FD(), mode)
	})
	if err != nil {
		o.Pins.Undo()
		return nil, errors.Join(explainAlone(l, o, mode, err, said), unpinCallArraysAlone(o))
	}
	p, err := loaded.ByFD(o.Bpf.FD())
	if err != nil {
		err = errors.Join(err, takeOff(l, o.Bpf.FD(), mode), unpinCallArraysAlone(o))
		o.Pins.Undo()
		return nil, err
	}
	if mode == xdp.ModeHW {
		after.Hardware = &p.Loaded
	}
	if now := attachedIn(l, mode); now.Mode == xdp.ModeNative && !o.Frags {
		after.Loss = lossOf(now)
	}
	trace.Changed(after)
	after.warnMTU(opts.Warn)
	return &Attachment{Interface: l.Interface, Fallback: fallbackReason(why),
		Programs: []Component{{Loaded: p.Loaded, Priority: o.Priority, Actions: o.Actions, Frags: o.Frags}}}, nil
}

// tellAlone tells beforeSwap, if there is one, of a program that is about to be attached.
func tellAlone(o *object.Program, p loaded.Program, beforeSwap func([]Coming) error) error {
	if beforeSwap == nil {
		return nil
	}
	return beforeSwap([]Coming{{Loaded: p.Loaded, LoadTime: p.LoadTime, Program: o.Spec}})
}

// offload attaches a program to the interface's device. It stands for
// xdp_program__attach_multi in hw mode.
func offload(ctx context.Context, l device.Device, o *object.Program) error {
	if o.MakesTailCalls() {
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("program %q of %s calls other programs, and a device takes only one", o.Bpf.Name(), o.Called), Remedy: "use native or skb mode"}
	}
	if err := o.CheckMaps(); err != nil {
		return err
	}
	prog, err := o.XdpProgram()
	if err != nil {
		return err
	}
	if err := protocol.WaitForPins(ctx); err != nil {
		return err
	}
	native.Lock.Lock()
	defer native.Lock.Unlock()
	if _, err := l.Again(); err != nil {
		return err
	}
	return libxdp.AttachMulti([]*libxdp.Program{prog}, l.Index, libxdp.ModeHW, 0)
}

// fallbackReason is why no dispatcher can be, in the words of the error that says so.
func fallbackReason(why error) string {
	if why == nil {
		return ""
	}
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

// explainAlone finds the fault behind a failed attachAlone: in the object, or else in what
// the kernel said.
func explainAlone(l device.Device, o *object.Program, mode xdp.Mode, err error, said []string) error {
	var explained *xdp.Error
	if errors.As(err, &explained) {
		return err
	}
	if log := o.Obj.VerifierLog(); log != "" && !errors.Is(err, syscall.EPERM) {
		return object.ExplainVerifier(o, log, err)
	}
	if len(o.Metadata) > 0 {
		if err := explainBinding(l, err); errors.As(err, &explained) {
			return err
		}
	}
	if fault := object.ExplainKernelFunctions(o, err); fault != nil {
		return fault
	}
	if fault := object.ExplainPinnedMaps(o, err); fault != nil {
		return fault
	}
	return explainAttach(l, attempt{mode: mode, frags: o.Frags}, err, said)
}

// detachAlone takes a legacy or an offloaded program off the interface. It stands for
// xdp_program__detach.
func detachAlone(ctx context.Context, l device.Device, id uint32, changing func(*Changing) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	trace, mode := traceOf(ctx), l.Mode
	before := readChain(l)
	after := *before
	if id == l.HwID {
		mode = xdp.ModeHW
		after.Hardware = nil
	} else {
		after.Legacy, after.Mode = nil, nil
	}
	trace.Changing(before, &after, nil)
	said, err := native.Recorded(func() error {
		prog, err := loaded.OpenProg(id)
		if err != nil {
			return err
		}
		defer prog.Close()
		if err := goingAlone(l, mode, prog, changing); err != nil {
			return err
		}
		return attachXDP(l.Index, noProgram, prog.Int(), mode)
	})
	var explained *xdp.Error
	switch {
	case errors.As(err, &explained):
		return err
	case err == nil:
		trace.Changed(&after)
		if err := unpinCallArrays([]uint32{id}); err != nil {
			return pinsLeft(l, protocol.PinRootDir(), err)
		}
		return nil
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return privilege.Explain(err)
	case errors.Is(err, syscall.EBUSY), errors.Is(err, syscall.EEXIST), errors.Is(err, syscall.ENOENT):
		if held := checkHeld(l); held != nil {
			return held
		}
		return lostRace(l, err)
	}
	return &xdp.Error{Kind: xdp.ErrSystem, Err: err,
		Msg:    fmt.Sprintf("can't unload from %s: %s", l.Name, native.Cause(err)),
		Remedy: strings.Join(said, "; ")}
}

// alone are the programs of an interface that aren't in a chain. Its main program is none
// of a dispatcher.
func alone(l device.Device) (all []xdp.Loaded) {
	for _, id := range []uint32{l.ProgID, l.HwID} {
		if id == 0 {
			continue
		}
		known := xdp.Loaded{ID: id} // it is there, even if no more can be read of it
		if p, err := loaded.ByID(id); err == nil {
			known = p.Loaded
		}
		all = append(all, known)
	}
	return all
}
