package dispatcher

import (
	"fmt"

	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Writable says whether a [Transaction] can change the chain. Errors: [xdp.ErrVersion],
// [xdp.ErrNoDispatcher].
func (c *Chain) Writable() error {
	switch {
	case c.Dispatcher == nil:
		return nil
	case c.DeviceBound:
		return deviceBound()
	case ownVersion(c.Version):
		return nil
	}
	theirs, err := protocol.DispatcherVersion()
	if err != nil {
		return protocol.NoDispatcher("libxdp's "+protocol.DispatcherObject+" isn't as expected", err)
	}
	if c.Version != theirs {
		return otherVersion{there: c.Version, theirs: theirs}.explain()
	}
	return nil
}

// ownVersion says whether xdpmux has a dispatcher of its own of that version.
func ownVersion(version int) bool { return version == 2 || version == 3 }

// otherVersion is the error of a chain whose version libxdp doesn't write.
type otherVersion struct{ there, theirs int }

func (e otherVersion) Error() string { return e.explain().Error() }

func (e otherVersion) Unwrap() error { return e.explain() }

func (e otherVersion) explain() error {
	return &xdp.Error{Kind: xdp.ErrVersion,
		Msg:    fmt.Sprintf("the chain has a dispatcher of version %d, and xdpmux writes versions 2 and 3, libxdp %s version %d", e.there, LibxdpVersion(), e.theirs),
		Remedy: "change it with the tools that made it, or unload the whole chain first: unload -a"}
}

// deviceBound refuses a chain whose programs could move only into a dispatcher that is
// bound to the same device.
func deviceBound() error {
	return &xdp.Error{Kind: xdp.ErrVersion, Msg: "the chain is bound to its device, and xdpmux can't change such a chain",
		Remedy: "change it with the tools that made it, or unload the whole chain first: unload -a"}
}
