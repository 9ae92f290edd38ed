package dispatcher

import (
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
)

// byLibxdp has libxdp change what is on an interface, and returns what it said.
func byLibxdp(l device.Device, f func() error) (said []string, err error) {
	native.Lock.Lock()
	defer native.Lock.Unlock()
	return native.Recorded(func() error {
		if _, err := l.Again(); err != nil {
			return err
		}
		return f()
	})
}
