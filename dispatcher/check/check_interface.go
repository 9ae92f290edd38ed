package check

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Interface finds out whether a chain can be on an interface: what its driver and its MTU
// allow, and whether what is attached takes another program. Errors: [xdp.ErrNoInterface].
func Interface(ctx context.Context, ifname string) ([]Check, error) {
	l, err := device.ByName(ifname)
	if err != nil {
		return nil, err
	}
	checks := []Check{checkDriver(l)}
	f, err := QueryFeatures(ctx, ifname)
	if errors.Is(err, xdp.ErrKernel) {
		f = nil // it can't tell
	} else if err != nil {
		return nil, err
	}
	return append(checks, checkNative(f), checkMTU(l, f), checkAttached(ctx, l)), nil
}

func checkDriver(l device.Device) Check {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return found("driver", "", Limited, "", err)
	}
	defer unix.Close(fd)
	info, err := unix.IoctlGetEthtoolDrvinfo(fd, l.Name)
	if err != nil {
		return ok("driver", "without a name")
	}
	return ok("driver", "%s", unix.ByteSliceToString(info.Driver[:]))
}

// skb is the mode that goes on every interface.
var skb = xdp.Hint{To: xdp.HintMode, Mode: xdp.ModeSKB}

func checkNative(f *Features) Check {
	switch {
	case f == nil:
		return ok("native mode", "unknown: kernels before 6.3 don't tell; loading a program does")
	case !f.XDP.Has(FeatureBasic):
		return limited("native mode", "the driver has no XDP", "use %v, which every driver takes and which is slower", skb)
	}
	return ok("native mode", "the driver has XDP")
}

// pageMTU is an MTU that fits into a page of 4 KiB beside the room that XDP keeps:
// 256 bytes of headroom and struct skb_shared_info.
const pageMTU = 3498

func checkMTU(l device.Device, f *Features) Check {
	switch {
	case l.Mtu <= pageMTU:
		return ok("mtu", "%d", l.Mtu)
	case f != nil && !f.XDP.Has(FeatureRxSG):
		return limited("mtu", fmt.Sprintf("%d, and the driver doesn't hand packets of several buffers to programs", l.Mtu),
			"lower the MTU, or use %v", skb)
	}
	return limited("mtu", fmt.Sprintf("%d, for which every program of the chain needs frags support", l.Mtu),
		`put the programs into SEC("xdp.frags"), lower the MTU, or use %v`, skb)
}

// checkAttached says what is on the interface, and whether a program can join it.
func checkAttached(ctx context.Context, l device.Device) Check {
	if !l.Attached {
		return ok("attached", "nothing")
	}
	c, err := dispatcher.Status(ctx, l.Name)
	if err != nil {
		return found("attached", "", Missing, "", err)
	}
	if err := c.InTheWay(); err != nil {
		return found("attached", "", Missing, "", err)
	}
	switch {
	case c.Problem != "":
		return limited("attached", c.Problem, "%v, and load the chain anew", xdp.Hint{To: xdp.HintDetachAll, Interface: l.Name})
	case c.Dispatcher == nil:
		return ok("attached", "an offloaded program")
	}
	if err := c.Writable(); err != nil {
		return found("attached", "", Missing, "", err)
	}
	if version, err := protocol.HostVersion(); err == nil {
		if err := c.CheckNative(version); err != nil {
			return found("attached", "", Limited, "xdpmux can", err)
		}
	}
	if c.NativeLocked {
		return Check{Name: "attached", State: Limited,
			Detail: fmt.Sprintf("a chain of %d in %s mode, which tools of libxdp before 1.5.5 can't change: a program in it changes packet data", len(c.Programs), l.Mode),
			Remedy: "xdpmux can; so can they once that program is unloaded by xdpmux"}
	}
	if len(c.Programs) >= xdp.MaxPrograms {
		return Check{Name: "attached", State: Limited, Detail: fmt.Sprintf("a chain of %d in %s mode, which takes no more", len(c.Programs), l.Mode),
			Remedy: "unload one first"}
	}
	return ok("attached", "a chain of %d in %s mode", len(c.Programs), l.Mode)
}
