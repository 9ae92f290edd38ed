package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
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
	Frags    bool    `json:"frags"`   // it takes packets of several buffers
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

// Find is the program of that name. The error is of kind [ErrNoProgram] if there is
// none, and of kind [ErrInvalid] if there are several; it lists them.
func (c *Chain) Find(name string) (Component, error) {
	var found []Component
	var ids, all []string
	for _, p := range c.Programs {
		text := fmt.Sprintf("%d (%s)", p.ID, p.Name)
		if all = append(all, text); p.Name == name {
			found, ids = append(found, p), append(ids, text)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return Component{}, &Error{Kind: ErrInvalid,
			Msg:    fmt.Sprintf("%d programs on %s are called %s", len(found), c.Interface.Name, name),
			Remedy: "name one by its id: " + strings.Join(ids, ", ")}
	case len(all) == 0:
		return Component{}, &Error{Kind: ErrNoProgram, Msg: fmt.Sprintf("no chain of programs on %s", c.Interface.Name)}
	}
	return Component{}, &Error{Kind: ErrNoProgram,
		Msg:    fmt.Sprintf("no program %s in the chain on %s", name, c.Interface.Name),
		Remedy: "loaded there: " + strings.Join(all, ", ")}
}

// Status tells what runs on an interface: what xdp_multiprog__get_from_ifindex
// reads, but read without libxdp. Errors: [ErrNoInterface], [ErrPermission].
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

// chainOf reads what sits on an interface. What disappears while it is read
// counts as not there.
func chainOf(ctx context.Context, l link) (*Chain, error) {
	c := &Chain{Interface: l.Interface, Programs: []Component{}}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !l.attached || l.progID == 0 {
		return c, nil
	}
	s, err := readDispatcher(l.Index, l.progID)
	switch {
	case err == nil:
		c.Mode, c.Dispatcher, c.Frags = &l.mode, &s.Loaded, s.config.Frags
		for _, p := range s.slots {
			c.Programs = append(c.Programs, Component{Loaded: p.Loaded, Priority: p.Priority, Actions: p.Actions, Frags: p.hasFrags()})
		}
		return c, nil
	case errors.Is(err, syscall.ENOENT):
		return c, nil
	case !errors.Is(err, errNotDispatcher):
		return nil, explainStatus(l, err)
	}
	p, err := loadedByID(l.progID)
	switch {
	case errors.Is(err, syscall.ENOENT):
		return c, nil
	case err != nil:
		return nil, explainStatus(l, err)
	case l.mode == ModeHW:
		c.Hardware = &p.Loaded
	default:
		c.Mode, c.Legacy = &l.mode, &p.Loaded
	}
	return c, nil
}
