package dispatcher

import (
	"fmt"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// explainBusy finds the fault behind EBUSY and EEXIST, which libxdp and the kernel
// answer to many. Only what none of the others is was a race.
func explainBusy(l device.Device, all []*object.Program, mode xdp.Mode, err error, said []string) error {
	for _, check := range []func(device.Device) error{checkHeld, checkLegacy} {
		if fault := check(l); fault != nil {
			return fault
		}
	}
	if l.Attached && l.Mode != xdp.ModeUnspecified && mode != xdp.ModeUnspecified && l.Mode != mode {
		return modeMismatch(l, mode)
	}
	for _, o := range all {
		if !o.Obj.HasBTF() {
			return protocol.NoDispatcher(object.WithoutBTF(o), err)
		}
	}
	if refused := explainDriver(l, mode, err, said); refused != nil {
		return refused
	}
	return lostRace(l, err)
}

// explainUnsupported tells what a driver can't do from what the system can't.
func explainUnsupported(l device.Device, all []*object.Program, mode xdp.Mode, err error, said []string) error {
	if mode != xdp.ModeHW && kernelReason(said) == "" {
		if impossible := whyNoDispatcher(all); impossible != nil {
			return impossible
		}
	}
	if mode == xdp.ModeNative || mode == xdp.ModeHW {
		return &xdp.Error{Kind: xdp.ErrModeNotSupported, Err: err,
			Msg:    fmt.Sprintf("%s can't run XDP programs in %s mode", l.Name, mode),
			Remedy: fmt.Sprintf("try another mode: %s", map[xdp.Mode]string{xdp.ModeNative: "-m skb", xdp.ModeHW: "-m native or -m skb"}[mode])}
	}
	return &xdp.Error{Kind: xdp.ErrSystem, Err: err,
		Msg:    fmt.Sprintf("libxdp can't attach to %s, and says: %s", l.Name, lastOf(said)),
		Remedy: "-v shows all that it says"}
}

// whyNoDispatcher finds out why these programs can't be in a dispatcher here; nil:
// they can.
func whyNoDispatcher(all []*object.Program) error {
	if err := protocol.CheckBPFFS(); err != nil {
		return err
	}
	for _, o := range all {
		if !o.Obj.HasBTF() {
			return protocol.NoDispatcher(object.WithoutBTF(o), nil)
		}
	}
	return protocol.ProbeFreplace()
}

func lastOf(said []string) string {
	if len(said) == 0 {
		return "nothing"
	}
	return said[len(said)-1]
}
