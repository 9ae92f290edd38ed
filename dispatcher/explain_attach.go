package dispatcher

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
)

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
	if refused := explainDriver(l, err, said); refused != nil {
		return refused
	}
	return lostRace(l, err)
}

func lostRace(l link, err error) error {
	return &Error{Kind: ErrBusy, Err: err,
		Msg:    fmt.Sprintf("the chain on %s is being changed by others, and libxdp gave up", l.Name),
		Remedy: "try again"}
}

// explainDriver passes on why the kernel refused a program for the interface, in
// its own or the driver's words; nil where it said nothing.
func explainDriver(l link, err error, said []string) error {
	words := kernelReason(said)
	e := &Error{Kind: ErrModeNotSupported, Err: err}
	lower := strings.ToLower(words)
	switch {
	case errors.Is(err, syscall.ERANGE), strings.Contains(lower, "mtu"):
		// The limit may be that of the other end, as for a veth.
		e.Msg = fmt.Sprintf("the MTU of %s, or of its other end, is too large for a program without frags support; %s has %d", l.Name, l.Name, l.mtu)
		e.Remedy = `lower the MTU, put every program of the chain into SEC("xdp.frags"), or use -m skb`
	case words == "", errors.Is(err, syscall.EOPNOTSUPP), slices.Contains(raceWords, words):
		return nil
	case strings.Contains(lower, "queue"), strings.Contains(lower, "ring"):
		e.Msg = fmt.Sprintf("%s has not the queues or rings that its driver needs for XDP", l.Name)
		e.Remedy = fmt.Sprintf("ethtool -l %s and -g %s show them, -L and -G change them; or use -m skb", l.Name, l.Name)
	default:
		e.Msg = fmt.Sprintf("the kernel refuses an XDP program on %s", l.Name)
		e.Remedy = "change what it names, or use -m skb"
	}
	if words != "" {
		e.Msg += " (" + words + ")"
	}
	return e
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

// raceWords are what the kernel says where another was faster.
var raceWords = []string{"XDP program already attached", "Active program does not match expected"}

// kernelReason is the last of what the kernel said to netlink requests.
func kernelReason(said []string) string {
	for i := len(said) - 1; i >= 0; i-- {
		if words, ok := strings.CutPrefix(said[i], kernelWords); ok {
			return words
		}
	}
	return ""
}
