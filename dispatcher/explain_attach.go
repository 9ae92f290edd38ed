package dispatcher

import "fmt"

// explainBusy finds the fault behind EBUSY and EEXIST, which libxdp and the kernel
// answer to many. Only what none of the others is was a race.
func explainBusy(l link, all []*opened, mode Mode, err error, said []string) error {
	for _, check := range []func(link) error{checkHeld, checkLegacy} {
		if fault := check(l); fault != nil {
			return fault
		}
	}
	if l.attached && l.mode != ModeUnspecified && mode != ModeUnspecified && l.mode != mode {
		return modeMismatch(l, mode)
	}
	for _, o := range all {
		if !o.obj.HasBTF() {
			return noDispatcher(withoutBTF(o), err)
		}
	}
	if refused := explainDriver(l, mode, err, said); refused != nil {
		return refused
	}
	return lostRace(l, err)
}

func lostRace(l link, err error) error {
	return &Error{Kind: ErrBusy, Err: err,
		Msg:    fmt.Sprintf("the chain on %s is being changed by others, and libxdp gave up", l.Name),
		Remedy: "try again"}
}

// explainUnsupported tells what a driver can't do from what the system can't.
func explainUnsupported(l link, all []*opened, mode Mode, err error, said []string) error {
	if mode != ModeHW && kernelReason(said) == "" {
		if impossible := whyNoDispatcher(all); impossible != nil {
			return impossible
		}
	}
	if mode == ModeNative || mode == ModeHW {
		return &Error{Kind: ErrModeNotSupported, Err: err,
			Msg:    fmt.Sprintf("%s can't run XDP programs in %s mode", l.Name, mode),
			Remedy: fmt.Sprintf("try another mode: %s", map[Mode]string{ModeNative: "-m skb", ModeHW: "-m native or -m skb"}[mode])}
	}
	return &Error{Kind: ErrSystem, Err: err,
		Msg:    fmt.Sprintf("libxdp can't attach to %s, and says: %s", l.Name, lastOf(said)),
		Remedy: "-v shows all that it says"}
}

// whyNoDispatcher finds out why these programs can't be in a dispatcher here; nil:
// they can.
func whyNoDispatcher(all []*opened) error {
	if err := checkBPFFS(); err != nil {
		return err
	}
	for _, o := range all {
		if !o.obj.HasBTF() {
			return noDispatcher(withoutBTF(o), nil)
		}
	}
	return probeFreplace()
}

func lastOf(said []string) string {
	if len(said) == 0 {
		return "nothing"
	}
	return said[len(said)-1]
}
