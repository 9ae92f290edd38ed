package dispatcher

import (
	"context"
	"errors"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libxdp"
)

// Loaded is a program in the kernel.
type Loaded struct {
	ID   uint32 `json:"id"`
	Name string `json:"name"`
	Tag  string `json:"tag"` // 16 hexadecimal digits, the hash of its instructions
}

// Component is a program of a chain.
type Component struct {
	Loaded
	Priority uint32  `json:"priority"`
	Actions  Actions `json:"actions"` // chain call actions
}

// Chain is what runs on an interface: a dispatcher with its component programs,
// or a legacy program, or neither.
type Chain struct {
	Interface  Interface   `json:"interface"`
	Mode       *Mode       `json:"mode,omitempty"`       // of the dispatcher or legacy program; nil without one
	Dispatcher *Loaded     `json:"dispatcher,omitempty"` // nil without one
	Legacy     *Loaded     `json:"legacy,omitempty"`     // a program attached without a dispatcher
	Hardware   *Loaded     `json:"hardware,omitempty"`   // an offloaded program
	Frags      bool        `json:"frags"`                // the chain takes packets of several buffers
	Programs   []Component `json:"programs"`             // in the order they run
}

// Status tells what runs on an interface. Errors: [ErrNoInterface],
// [ErrPermission]. It stands for xdp_multiprog__get_from_ifindex.
func Status(ctx context.Context, ifname string) (*Chain, error) {
	l, err := linkByName(ifname)
	if err != nil {
		return nil, err
	}
	return chainOf(ctx, l)
}

// StatusAll tells what runs on each interface of the network namespace, in the
// kernel's order. Only interfaces with a program are looked into.
func StatusAll(ctx context.Context) ([]*Chain, error) {
	all, err := links()
	if err != nil {
		return nil, err
	}
	chains := make([]*Chain, len(all))
	for i, l := range all {
		if chains[i], err = chainOf(ctx, l); err != nil {
			return nil, err
		}
	}
	return chains, nil
}

func chainOf(ctx context.Context, l link) (*Chain, error) {
	c := &Chain{Interface: l.Interface, Programs: []Component{}}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !l.attached {
		return c, nil
	}
	libxdpLock.Lock()
	defer libxdpLock.Unlock()
	mp, err := libxdp.GetMultiprog(l.Index)
	if errors.Is(err, syscall.ENOENT) {
		return c, nil // gone since the query
	}
	if err != nil {
		return nil, explainStatus(l, err)
	}
	defer mp.Close()
	c.read(mp)
	return c, nil
}

func (c *Chain) read(mp *libxdp.Multiprog) {
	if p := mp.HWProgram(); p != nil {
		c.Hardware = loadedOf(p)
	}
	main := mp.MainProgram()
	if main == nil {
		return
	}
	mode := modeOf(mp.AttachMode())
	c.Mode = &mode
	if mp.IsLegacy() {
		c.Legacy = loadedOf(main)
		return
	}
	c.Dispatcher = loadedOf(main)
	c.Frags = mp.FragsSupport()
	for _, p := range mp.Programs() {
		c.Programs = append(c.Programs, Component{Loaded: *loadedOf(p), Priority: p.RunPrio(), Actions: actionsOf(p)})
	}
}

func loadedOf(p *libxdp.Program) *Loaded {
	return &Loaded{ID: p.ID(), Name: p.Name(), Tag: p.Tag().String()}
}

func actionsOf(p *libxdp.Program) Actions {
	var a Actions
	for v := range numVerdicts {
		if p.ChainCallEnabled(uint32(v)) {
			a |= 1 << v
		}
	}
	return a
}
