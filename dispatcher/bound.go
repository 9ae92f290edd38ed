package dispatcher

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// A program that asks the driver for metadata of packets has to be bound to the device, as the
// kernel looks the driver's functions up when it loads the program. In a chain its dispatcher
// is bound, and the program inherits that. The kernel links such a program into no dispatcher
// but one that is bound to the same device. Any other program it links into each.
//
// So a chain is bound by a new dispatcher alone: the programs that run stay, with their ids and
// maps. It stays bound until it is empty, whoever leaves it.

// chooseBinding finds out whether a chain of these slots is bound to its device, and whether it
// can be. was says that the chain that is there is bound. The programs of shared are for several
// interfaces.
func chooseBinding(was bool, slots []slot, mode xdp.Mode, shared []*object.Program) (bound bool, err error) {
	bound = was && len(slots) > 0
	for _, m := range slots {
		if m.comes == nil || len(m.comes.Metadata) == 0 {
			continue
		}
		bound = true
		if slices.Contains(shared, m.comes) {
			return false, &xdp.Error{Kind: xdp.ErrInvalid,
				Msg:    fmt.Sprintf("%s, so it is bound to one device, and several interfaces can't share it", m.comes.AsksForMetadata()),
				Remedy: "load it on each interface by itself"}
		}
		if err := checkBinding(mode, m.comes); err != nil {
			return false, err
		}
	}
	return bound, nil
}

// checkBinding says why a program that asks for metadata can't be bound to its device; nil: it
// can, or needs not.
func checkBinding(mode xdp.Mode, o *object.Program) error {
	if len(o.Metadata) == 0 {
		return nil
	}
	if mode == xdp.ModeSKB || mode == xdp.ModeHW {
		return (&xdp.Error{Kind: xdp.ErrModeNotSupported,
			Msg: fmt.Sprintf("%s, which only a program in native mode may", o.AsksForMetadata())}).
			Advise("use %v", xdp.Hint{To: xdp.HintMode, Mode: xdp.ModeNative})
	}
	return o.CheckMetadata()
}

// boundOf are those of the programs, which are loaded, that are bound to a device. The kernel
// doesn't say so. It links such a program into no dispatcher that isn't bound.
func boundOf(programs []slot) (bound []slot, err error) {
	target, err := protocol.LoadProbeTarget(protocol.OpenAny)
	if err != nil {
		return nil, err
	}
	defer target.Close()
	for _, m := range programs {
		switch err := target.Link(m.progFD()); {
		case errors.Is(err, syscall.EINVAL):
			bound = append(bound, m)
		case err != nil:
			return nil, err
		}
	}
	return bound, nil
}

// checkTold says which metadata a program asks for that the driver doesn't have; nil: none, or the
// kernel doesn't say. The kernel loads such a program all the same. Errors:
// [xdp.ErrModeNotSupported].
func checkTold(l device.Device, o *object.Program) error {
	if len(o.Metadata) == 0 {
		return nil
	}
	f, err := l.XDPFeatures()
	if err != nil {
		return nil // the kernel can't tell, or the interface is gone by now
	}
	untold := f.Untold(o.Metadata)
	if len(untold) == 0 {
		return nil
	}
	return (&xdp.Error{Kind: xdp.ErrModeNotSupported,
		Msg: fmt.Sprintf("program %q of %s gets no metadata by %s: the driver of %s has none, and each call returns EOPNOTSUPP",
			o.Bpf.Name(), o.Called, strings.Join(untold, ", "), l.Name)}).
		Advise("%v lists what the driver has", xdp.Hint{To: xdp.HintCheck, Interface: l.Name})
}

// explainBinding finds the fault behind a dispatcher, or a program without one, that the kernel
// doesn't bind to its device. It returns err if the fault is another.
func explainBinding(l device.Device, err error) error {
	var explained *xdp.Error
	if errors.As(err, &explained) || !errors.Is(err, syscall.EOPNOTSUPP) {
		return err
	}
	return &xdp.Error{Kind: xdp.ErrModeNotSupported, Err: err,
		Msg:    fmt.Sprintf("no program can be bound to %s, as its driver has no XDP", l.Name),
		Remedy: "a program that asks for metadata needs a driver that runs XDP programs in native mode"}
}

// CheckTestRun says why the kernel can't test-run a chain (BPF_PROG_TEST_RUN); nil: it can.
// Errors: [xdp.ErrModeNotSupported].
func (c *Chain) CheckTestRun() error {
	switch {
	case c.Hardware != nil:
		return &xdp.Error{Kind: xdp.ErrModeNotSupported, Msg: fmt.Sprintf("%v on %s runs on the device, and no packet can be sent through it", c.Hardware, c.Interface.Name)}
	case c.DeviceBound:
		return &xdp.Error{Kind: xdp.ErrModeNotSupported,
			Msg: fmt.Sprintf("the chain on %s is bound to its device, and the kernel test-runs no such chain", c.Interface.Name)}
	}
	return nil
}

// nativeBound is the error of native tools about a chain that is bound to its device.
func nativeBound(ifname string) error {
	return &xdp.Error{Kind: xdp.ErrNativeLocked,
		Msg:    fmt.Sprintf("native tools can't change the chain on %s: it is bound to its device, as a program in it asks for metadata", ifname),
		Remedy: "xdpmux can; native tools show it, and unload the whole of it"}
}
