package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/proc"
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
	driver := l.Driver()
	checks := []Check{ok("driver", "%s", cmp.Or(driver, "without a name"))}
	f, err := QueryFeatures(ctx, ifname)
	if errors.Is(err, xdp.ErrKernel) {
		f = nil // it can't tell
	} else if err != nil {
		return nil, err
	}
	var c *dispatcher.Chain
	var statusErr error
	if l.Attached {
		c, statusErr = dispatcher.Status(ctx, ifname)
	}
	return append(checks, checkNative(f), checkQueues(l, driver), checkMTU(l, f, c), checkMetadata(f), checkAttached(l, c, statusErr)), nil
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

// checkQueues says how many queues there are. virtio_net wants as many more as there can be
// processors, to send what programs return or redirect to it. If it has fewer, it says so in the
// kernel's log alone.
func checkQueues(l device.Device, driver string) Check {
	q, err := l.Queues()
	if err != nil {
		return ok("queues", "the driver doesn't tell")
	}
	detail := fmt.Sprintf("%d to receive and %d to send, at most %d and %d",
		q.Combined+q.Rx, q.Combined+q.Tx, q.MaxCombined+q.MaxRx, q.MaxCombined+q.MaxTx)
	if driver != "virtio_net" {
		return ok("queues", "%s", detail)
	}
	processors, err := proc.PossibleProcessors()
	if err != nil {
		return found("queues", "", Limited, "mount sysfs at /sys", err)
	}
	if q.Combined+processors <= q.MaxCombined {
		return ok("queues", "%s", detail)
	}
	detail += fmt.Sprintf(": not one more for each of %d processors, so packets that a program returns (XDP_TX) or that are redirected there are sent under a lock, slower", processors)
	if q.MaxCombined > processors {
		return limited("queues", detail, "ethtool -L %s combined %d makes room for them", l.Name, q.MaxCombined-processors)
	}
	return limited("queues", detail, "have the hypervisor give the card %d queues or more", 1+processors)
}

// checkMTU says whether a chain without frags support gets every packet.
func checkMTU(l device.Device, f *Features, c *dispatcher.Chain) Check {
	if c != nil {
		if err := c.CheckMTU(); err != nil {
			return found("mtu", "", Limited, "", err)
		}
	}
	detail := fmt.Sprint(l.Mtu)
	limit := l.SingleBuffer().MTU
	switch {
	case l.Mtu <= limit:
		return ok("mtu", "%s", detail)
	case c != nil && c.Mode != nil && *c.Mode == xdp.ModeSKB:
		return ok("mtu", "%s, and skb mode takes packets of any size", detail)
	case c != nil && c.Frags:
		return ok("mtu", "%s, and the chain has frags support", detail)
	case f != nil && !f.XDP.Has(FeatureRxSG):
		return limited("mtu", detail+", and the driver doesn't hand packets of several buffers to programs",
			"lower the MTU to %d, or use %v", limit, skb)
	}
	return limited("mtu", detail+", for which every program of the chain needs frags support",
		`put the programs into SEC("xdp.frags"), lower the MTU to %d, or use %v`, limit, skb)
}

// checkMetadata says what of packets the driver tells to programs that ask for it.
func checkMetadata(f *Features) Check {
	if f == nil || f.RxMetadata == nil {
		return ok("rx metadata", "unknown: kernels before 6.7 don't tell")
	}
	var told []string
	for bit, function := range device.MetadataFunctions {
		if f.RxMetadata.Has(1 << bit) {
			told = append(told, function)
		}
	}
	if len(told) == 0 {
		return ok("rx metadata", "none: a program that asks for any gets an error for each packet")
	}
	return ok("rx metadata", "%s", strings.Join(told, ", "))
}

// checkAttached says what is on the interface, and whether a program can join it. c and err are
// its status.
func checkAttached(l device.Device, c *dispatcher.Chain, err error) Check {
	if !l.Attached {
		return ok("attached", "nothing")
	}
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
	if c.DeviceBound {
		return Check{Name: "attached", State: Limited,
			Detail: fmt.Sprintf("a chain of %d in %s mode, bound to its device for metadata, which native tools can't change", len(c.Programs), l.Mode),
			Remedy: "xdpmux can; so can they once the whole of it is unloaded"}
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
