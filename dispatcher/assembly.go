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
}

// opener opens a dispatcher.
type opener func() (*libbpf.Program, *protocol.Object, error)

// assemble loads a dispatcher of that version, loads the programs that come, and links all
// programs into it in their order. Version 0 stands for the version of a new chain. locked
// says that tools of libxdp can't change the chain that is there. The host's libxdp provides
// the dispatcher if its own has the version and can host all programs; otherwise it is
// xdpmux's own.
func assemble(wanted []slot, version int, locked bool) (*assembly, error) {
	a, err := assembleFrom(protocol.OpenHostDispatcher, wanted, version)
	var reason error // why the host's dispatcher can't host them
	switch {
	case errors.As(err, &object.CantHost{}):
		locked, reason = true, err
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
	if version == 0 {
		if version, err = protocol.NewVersion(); err != nil {
			return nil, err
		}
	}
	locked = locked && version < 3 // every libxdp that writes version 3 hosts all
	own, err := assembleFrom(func() (*libbpf.Program, *protocol.Object, error) {
		return protocol.OpenOwnDispatcher(version, locked)
	}, wanted, version)
	if err == nil {
		own.Locked, own.reason = locked, reason
	}
	return own, err
}

func assembleFrom(open opener, wanted []slot, version int) (_ *assembly, err error) {
	a := &assembly{Dispatcher: protocol.Dispatcher{Config: protocol.Config{Count: len(wanted), Frags: true}}}
	for i, s := range wanted {
		a.Config.Slots[i] = s.SlotConfig
		a.Config.Frags = a.Config.Frags && s.HasFrags()
	}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if err := a.load(open, version); err != nil {
		return nil, err
	}
	btf := a.file.BTF()
	for i, s := range wanted {
		function := protocol.SlotFunction(i, len(wanted))
		id, err := btf.Find(function, libbpf.KindFunc)
		if err != nil {
			return nil, err
		}
		l, err := a.link(s, function, id)
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
	if a.Config.Frags {
		if err := a.main.SetFlags(libbpf.FlagXDPHasFrags); err != nil {
			return err
		}
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
func (a *assembly) link(s slot, function string, id uint32) (*libbpf.FD, error) {
	if s.comes != nil {
		if err := s.comes.Load(a.main.FD(), function); err != nil {
			return nil, err
		}
	}
	l, err := libbpf.LinkCreate(s.progFD(), a.main.FD(), 0, 0, id)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EINVAL):
		return nil, object.CantHost{Err: protocol.NoDispatcher(fmt.Sprintf("the kernel can't put program %s into a new one", s.Name), err)}
	}
	if refused := privilege.Denied(err); refused != nil {
		return nil, refused
	}
	return nil, protocol.NoDispatcher("the kernel can't replace a function of a running program ("+native.Cause(err)+")", err)
}

// close lets go of the dispatcher; what is pinned and attached stays.
func (a *assembly) close() {
	for _, l := range a.links {
		l.Close()
	}
	if a.file != nil {
		a.file.Close()
	}
}
