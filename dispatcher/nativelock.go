package dispatcher

import (
	"errors"
	"fmt"
)

// Where the kernel lets no program that changes packet data replace a function of the
// installed libxdp's dispatcher (from Linux 6.12 on, libxdp before 1.5.5), xdpmux's own
// hosts it. Tools of that libxdp can then change the chain no more: they would have to
// put the program into a dispatcher of their own. Such a dispatcher has a mark that costs
// nothing to read: the name of its map.
const (
	ownObject    = "xdp_dispatcher" // the object's name, of which libbpf makes that of the map
	lockedObject = "xdpmuxpd"
	lockedMap    = lockedObject + ".rodata"
)

// nativeLock says what a program brings to a chain. err is why libxdp's dispatcher can't
// host it.
func nativeLock(l link, err error) error {
	reason := "a program in it changes packet data"
	var e *Error
	if errors.As(err, &e) {
		reason = e.Msg
	}
	return &Error{Kind: ErrNativeLocked,
		Msg:    fmt.Sprintf("tools of libxdp %s can't change the chain on %s with it any more: %s", LibxdpVersion(), l.Name, reason),
		Remedy: "xdpmux can, and so can tools of libxdp 1.5.5 and newer"}
}

// checkNative refuses a swap after which native tools can't change the chain, or tells of
// it, as the transaction says.
func (c *commit) checkNative(s *swap) error {
	if s.host == nil || s.host.locked == nil {
		return nil
	}
	warning := nativeLock(s.link, s.host.locked)
	switch was := s.old.state != nil && s.old.state.locked; {
	case c.NativeCompatible:
		return warning
	case !was && !c.warned && c.Warn != nil:
		c.warned = true // a lost race starts over
		c.Warn(warning)
	}
	return nil
}
