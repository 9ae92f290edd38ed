package dispatcher

import (
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// InterfaceByIndex is the interface of the calling thread's network namespace that has that
// index, whatever it is called. Errors: [xdp.ErrNoInterface].
func InterfaceByIndex(index int) (xdp.Interface, error) { return device.InterfaceByIndex(index) }

// Interfaces lists the interfaces of the calling thread's network namespace, in the kernel's order.
func Interfaces() ([]xdp.Interface, error) { return device.Interfaces() }
