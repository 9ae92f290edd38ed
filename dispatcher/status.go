package dispatcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Status tells what runs on an interface. It reads what xdp_multiprog__get_from_ifindex does,
// without libxdp. A chain that can't be read whole is returned as far as it could be read,
// together with an error, which is its Err. Errors: [xdp.ErrNoInterface],
// [xdp.ErrPermission], [xdp.ErrSystem].
func Status(ctx context.Context, ifname string) (*Chain, error) {
	chains, err := StatusAll(ctx, ifname)
	if err != nil {
		return nil, err
	}
	return chains[0], chains[0].Err
}

// StatusAll tells what runs on these interfaces. Without names it is each interface of the
// network namespace in the kernel's order, from one dump of all; only those with a program
// are looked into. A chain that can't be read has its Err set, and the others are read all
// the same. So they are where a name is that of no interface: the error joins an
// [xdp.ErrNoInterface] for each such name, and comes with the chains of the others.
func StatusAll(ctx context.Context, ifnames ...string) ([]*Chain, error) {
	if len(ifnames) == 0 {
		all, err := device.All()
		if err != nil {
			return nil, err
		}
		return chainsOf(ctx, all)
	}
	var all []device.Device
	var missing []error
	for _, name := range ifnames {
		l, err := device.ByName(name)
		if err != nil {
			missing = append(missing, err)
			continue
		}
		all = append(all, l)
	}
	chains, err := chainsOf(ctx, all)
	return chains, errors.Join(append(missing, err)...)
}

func chainsOf(ctx context.Context, all []device.Device) ([]*Chain, error) {
	chains := make([]*Chain, len(all))
	var foreign []*Chain
	for i, l := range all {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		chains[i] = chainOf(l)
		if l.ProgID != 0 && chains[i].Pins == "" {
			foreign = append(foreign, chains[i])
		}
	}
	// A chain with its pins where libxdp puts them was attached without a link, as libxdp
	// does it. For the others, all links of the kernel are looked through, once.
	if len(foreign) == 0 {
		return chains, nil
	}
	held := loaded.HoldingLinks()
	for _, c := range foreign {
		if main := cmp.Or(c.Dispatcher, c.Legacy); main != nil {
			c.Link = held[loaded.Holding{Ifindex: c.Interface.Index, ProgID: main.ID}]
		}
	}
	return chains, nil
}

// chainOf reads what is on an interface. If it can't read all of it, and the interface has got
// another program meanwhile, it reads again.
func chainOf(l device.Device) *Chain {
	for {
		c := readChain(l)
		if c.complete(l) {
			return c
		}
		now, err := l.Again()
		if err != nil || now.ProgID == l.ProgID && now.HwID == l.HwID {
			return c
		}
		l = now
	}
}

// complete says whether all that the interface had was there to be read.
func (c *Chain) complete(l device.Device) bool {
	return c.Problem == "" && (l.ProgID == 0 || c.Dispatcher != nil || c.Legacy != nil) && (l.HwID == 0 || c.Hardware != nil)
}

// readChain reads what is on an interface once. A program that disappears meanwhile counts as
// not there.
func readChain(l device.Device) *Chain {
	d, legacy, mainErr := readMain(l)
	hardware, hwErr := readProgram(l.HwID)
	c := newChain(l, d)
	if c.Legacy, c.Hardware = legacy, hardware; legacy != nil {
		c.Mode, c.Loss = &l.Mode, lossOfLone(l)
	}
	if err := errors.Join(mainErr, hwErr); err != nil {
		c.Err = explainStatus(l, err)
		c.Problem = c.Err.Error()
	}
	return c
}

// withHardware adds the offloaded program of an interface, as far as it can be read.
func (c *Chain) withHardware(l device.Device) *Chain {
	c.Hardware, _ = readProgram(l.HwID)
	return c
}

// readMain reads the interface's main program: a dispatcher, as far as it can be read, or
// a legacy program.
func readMain(l device.Device) (d *protocol.Dispatcher, legacy *xdp.Loaded, err error) {
	if l.ProgID == 0 {
		return nil, nil, nil
	}
	d, err = protocol.Read(l.Index, l.ProgID)
	switch {
	case errors.Is(err, protocol.ErrNotDispatcher):
		legacy, err = readProgram(l.ProgID)
	case d == nil:
		err = loaded.UnlessGone(err)
	}
	return d, legacy, err
}

// readProgram reads a program; nil: there is none of that id.
func readProgram(id uint32) (*xdp.Loaded, error) {
	if id == 0 {
		return nil, nil
	}
	p, err := loaded.ByID(id)
	if err != nil {
		return nil, loaded.UnlessGone(err)
	}
	return &p.Loaded, nil
}

func explainStatus(l device.Device, err error) error {
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return privilege.Explain(err)
	}
	return (&xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: fmt.Sprintf("can't read the chain on %s: %s", l.Name, native.Cause(err))}).
		Advise("%v", xdp.Hint{To: xdp.HintLibxdpLog})
}
