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

// assembly is a dispatcher that is loaded, with a link for each of its programs. It is
// on no interface until a swap puts it there.
type assembly struct {
	protocol.Dispatcher // without its pins, and its slots, until they are there
	file                *protocol.Object
	main                *libbpf.Program
	links               []*libbpf.FD // as many as programs
	reason              error        // why tools of libxdp before 1.5.5 are locked out; nil: they aren't, or were before
}

// opener opens a dispatcher.
type opener func() (*libbpf.Program, *protocol.Object, error)

// hostPrograms loads a dispatcher of that version for the programs, and links them into
// it, in their order; those that come are loaded. Version 0 is that of a new chain. locked
// says that tools of libxdp can't change the chain that is there. The dispatcher is that of
// the host's libxdp if it has the version and can host them all, and else xdpmux's own.
func hostPrograms(wanted []slot, version int, locked bool) (*assembly, error) {
	h, err := hostIn(protocol.OpenHostDispatcher, wanted, version)
	var reason error // why the host's can't host them
	switch {
	case errors.As(err, &object.CantHost{}):
		locked, reason = true, err
		for _, m := range wanted {
			if m.comes != nil && !m.comes.Loaded {
				if err := m.comes.Reopen(); err != nil {
					return nil, err
				}
			}
		}
	case !errors.Is(err, protocol.ErrNoHostDispatcher):
		return h, err
	}
	if version == 0 {
		if version, err = protocol.NewVersion(); err != nil {
			return nil, err
		}
	}
	locked = locked && version < 3 // every libxdp that writes version 3 hosts all
	own, err := hostIn(func() (*libbpf.Program, *protocol.Object, error) {
		return protocol.OpenOwnDispatcher(version, locked)
	}, wanted, version)
	if err == nil {
		own.Locked, own.reason = locked, reason
	}
	return own, err
}

func hostIn(open opener, wanted []slot, version int) (_ *assembly, err error) {
	h := &assembly{Dispatcher: protocol.Dispatcher{Config: protocol.Config{Count: len(wanted), Frags: true}}}
	for i, m := range wanted {
		h.Config.Slots[i] = m.SlotConfig
		h.Config.Frags = h.Config.Frags && m.HasFrags()
	}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	if err := h.load(open, version); err != nil {
		return nil, err
	}
	btf := h.file.BTF()
	for i, m := range wanted {
		function := protocol.SlotFunction(i, len(wanted))
		id, err := btf.Find(function, libbpf.KindFunc)
		if err != nil {
			return nil, err
		}
		l, err := h.link(m, function, id)
		if err != nil {
			return nil, err
		}
		h.links = append(h.links, l)
	}
	return h, nil
}

// load loads the dispatcher if it is of that version, 0 for any that is written, with
// frags support if all its programs have that and the kernel knows it.
func (h *assembly) load(open opener, version int) (err error) {
	if h.main, h.file, err = open(); err != nil {
		return err
	}
	if h.Config.Version, err = h.file.Version(); err != nil {
		return err
	}
	if version != 0 && h.Config.Version != version || !protocol.Writes(h.Config.Version) {
		return protocol.ErrNoHostDispatcher
	}
	if err := h.file.Maps()[0].SetInitialValue(h.Config.Encode()); err != nil {
		return err
	}
	if h.Config.Frags {
		if err := h.main.SetFlags(libbpf.FlagXDPHasFrags); err != nil {
			return err
		}
	}
	err = h.file.Load()
	if errors.Is(err, syscall.EINVAL) && h.Config.Frags {
		h.file.Close()
		h.Config.Frags = false
		return h.load(open, version)
	}
	if refused := privilege.Denied(err); refused != nil {
		return refused
	}
	if err != nil {
		return protocol.NoDispatcher("the kernel doesn't load a dispatcher ("+native.Cause(err)+")", err)
	}
	info, err := libbpf.ProgInfoByFD(h.main.FD())
	if err != nil {
		return err
	}
	if info.Name != protocol.DispatcherProgram {
		// libbpf leaves names out after a failed check of whether the kernel takes any.
		return &xdp.Error{Kind: xdp.ErrSystem, Msg: "the kernel has loaded a dispatcher without the name that it is known by", Remedy: "try again"}
	}
	h.Loaded = xdp.Loaded{ID: info.ID, Name: info.Name, Tag: info.Tag.String()}
	return nil
}

// link puts a program in the place of the dispatcher's function, which has that
// BTF type id.
func (h *assembly) link(m slot, function string, id uint32) (*libbpf.FD, error) {
	if m.comes != nil {
		if err := m.comes.Load(h.main.FD(), function); err != nil {
			return nil, err
		}
	}
	l, err := libbpf.LinkCreate(m.progFD(), h.main.FD(), 0, 0, id)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EINVAL):
		return nil, object.CantHost{Err: protocol.NoDispatcher(fmt.Sprintf("the kernel can't put program %s into a new one", m.Name), err)}
	}
	if refused := privilege.Denied(err); refused != nil {
		return nil, refused
	}
	return nil, protocol.NoDispatcher("the kernel can't replace a function of a running program ("+native.Cause(err)+")", err)
}

// close lets go of the dispatcher; what is pinned and attached stays.
func (h *assembly) close() {
	for _, l := range h.links {
		l.Close()
	}
	if h.file != nil {
		h.file.Close()
	}
}
