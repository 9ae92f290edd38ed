package dispatcher

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// assembly is a dispatcher that is loaded, with a link for each of its programs. It is on no
// interface until a swap puts it there.
type assembly struct {
	protocol.Dispatcher // swap.prepare adds its slots, swap.pin its pins
	file                *protocol.Object
	main                *libbpf.Program
	links               []*libbpf.FD // as many as programs
	reason              error        // why this change locks tools of libxdp before 1.5.5 out; nil: it doesn't

	boundTo int                   // index of the device that it is bound to; 0: it is bound to none
	unbound *protocol.ProbeTarget // see loadFor
}

// blueprint says what dispatcher is to be assembled.
type blueprint struct {
	version int  // 0: that of a new chain
	locked  bool // tools of libxdp before 1.5.5 can't change the chain that is there
	boundTo int  // index of the device that it is to be bound to; 0: to none

	host *protocol.HostDispatcher
}

// opener opens a dispatcher.
type opener func() (*libbpf.Program, *protocol.Object, error)

// assemble loads a dispatcher, loads the programs that come, and links all programs into it in
// their order. The host's libxdp provides the dispatcher if its own has the version and can host
// all programs; otherwise it is xdpmux's own. One that is bound to a device is always that.
func assemble(wanted []slot, b blueprint) (*assembly, error) {
	err := protocol.ErrNoHostDispatcher
	var a *assembly
	if b.boundTo == 0 {
		a, err = assembleFrom(b.host.Open, wanted, b)
	}
	var reason error // why the host's dispatcher can't host them
	switch {
	case errors.As(err, &object.CantHost{}):
		b.locked, reason = true, err
		for _, s := range wanted {
			if s.comes != nil && !s.comes.Loaded {
				if err := s.comes.Reopen(); err != nil {
					return nil, err
				}
			}
		}
	case !errors.Is(err, protocol.ErrNoHostDispatcher):
		return a, err
	}
	if b.version == 0 {
		if b.version, err = protocol.NewVersion(); err != nil {
			return nil, err
		}
	}
	b.locked = b.locked && b.version < 3 // every libxdp that writes version 3 hosts all
	own, err := assembleFrom(func() (*libbpf.Program, *protocol.Object, error) {
		return protocol.OpenOwnDispatcher(b.version, b.locked)
	}, wanted, b)
	if err == nil {
		own.Locked, own.reason = b.locked, reason
	}
	return own, err
}

func assembleFrom(open opener, wanted []slot, b blueprint) (_ *assembly, err error) {
	a := &assembly{boundTo: b.boundTo,
		Dispatcher: protocol.Dispatcher{Config: protocol.Config{Count: len(wanted), Frags: true, DeviceBound: b.boundTo != 0}}}
	for i, s := range wanted {
		a.Config.Slots[i] = s.SlotConfig
		a.Config.Frags = a.Config.Frags && s.HasFrags()
	}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if err := a.load(open, b.version); err != nil {
		return nil, err
	}
	btf := a.file.BTF()
	for i, s := range wanted {
		id, err := btf.Find(protocol.SlotFunction(i, len(wanted)), libbpf.KindFunc)
		if err != nil {
			return nil, err
		}
		l, err := a.link(s, id)
		if err != nil {
			return nil, err
		}
		a.links = append(a.links, l)
	}
	return a, nil
}

// load loads the dispatcher if it is of that version; 0 stands for any version that xdpmux
// writes. The dispatcher gets frags support if all its programs have it and the kernel knows
// it.
func (a *assembly) load(open opener, version int) (err error) {
	if a.main, a.file, err = open(); err != nil {
		return err
	}
	if a.Config.Version, err = a.file.Version(); err != nil {
		return err
	}
	if version != 0 && a.Config.Version != version || !protocol.Writes(a.Config.Version) {
		return protocol.ErrNoHostDispatcher
	}
	if err := a.file.Maps()[0].SetInitialValue(a.Config.Encode()); err != nil {
		return err
	}
	flags := uint32(0)
	if a.Config.Frags {
		flags |= libbpf.FlagXDPHasFrags
	}
	if a.boundTo != 0 {
		a.main.SetIfindex(a.boundTo)
		flags |= libbpf.FlagXDPDevBoundOnly
	}
	if err := a.main.SetFlags(flags); err != nil {
		return err
	}
	err = a.file.Load()
	if errors.Is(err, syscall.EINVAL) && a.Config.Frags {
		a.file.Close()
		a.Config.Frags = false
		return a.load(open, version)
	}
	if refused := privilege.Denied(err); refused != nil {
		return refused
	}
	if err != nil && a.boundTo != 0 {
		return err // no program can do without a dispatcher that is bound
	}
	if err != nil {
		return protocol.NoDispatcher("the kernel doesn't load a dispatcher ("+native.Cause(err)+")", err)
	}
	info, err := libbpf.ProgInfoByFD(a.main.FD())
	if err != nil {
		return err
	}
	if info.Name != protocol.DispatcherProgram {
		// libbpf leaves names out after a failed check of whether the kernel takes any.
		return &xdp.Error{Kind: xdp.ErrSystem, Msg: "the kernel has loaded a dispatcher without the name that it is known by", Remedy: "try again"}
	}
	a.Loaded = xdp.Loaded{ID: info.ID, Name: info.Name, Tag: info.Tag.String()}
	return nil
}

// link puts a program in the place of that function of the dispatcher. id is the function's
// BTF type.
func (a *assembly) link(s slot, id uint32) (*libbpf.FD, error) {
	if s.comes != nil {
		if err := a.loadFor(s.comes, id); err != nil {
			return nil, err
		}
	}
	l, err := libbpf.LinkCreate(s.progFD(), a.main.FD(), 0, 0, id)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EINVAL) && a.boundTo != 0 && s.comes == nil:
		return nil, &xdp.Error{Kind: xdp.ErrInvalid, Err: err, Msg: fmt.Sprintf("%v can't join: it is bound to another device, for metadata", s.Loaded),
			Remedy: "load its object instead"}
	case errors.Is(err, syscall.EINVAL):
		return nil, object.CantHost{Err: protocol.NoDispatcher(fmt.Sprintf("the kernel can't put program %s into a new one", s.Name), err)}
	}
	if refused := privilege.Denied(err); refused != nil {
		return nil, refused
	}
	return nil, protocol.NoDispatcher("the kernel can't replace a function of a running program ("+native.Cause(err)+")", err)
}

// loadFor loads a program that comes, to replace that function of the dispatcher. If the
// dispatcher is bound, a program that asks for no metadata is loaded for another, which goes
// nowhere: bound itself, the program couldn't be shared with a chain on another device.
func (a *assembly) loadFor(o *object.Program, function uint32) (err error) {
	if a.boundTo == 0 || len(o.Metadata) > 0 {
		return o.Load(a.main.FD(), function)
	}
	if a.unbound == nil {
		if a.unbound, err = protocol.LoadProbeTarget(protocol.OpenAny); err != nil {
			return err
		}
	}
	fd, function, err := a.unbound.Slot()
	if err != nil {
		return err
	}
	return o.Load(fd, function)
}

// close lets go of the dispatcher; what is pinned and attached stays.
func (a *assembly) close() {
	for _, l := range a.links {
		l.Close()
	}
	if a.file != nil {
		a.file.Close()
	}
	if a.unbound != nil {
		a.unbound.Close()
	}
}
