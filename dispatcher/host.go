package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// host is a dispatcher that is loaded, with a link for each of its programs. It is
// on no interface until a swap puts it there.
type host struct {
	Loaded
	config layoutConfig
	file   *dispatcherFile
	main   *libbpf.Program
	links  []*libbpf.FD // as many as programs
	locked error        // why libxdp's dispatcher can't host the programs; nil: it can
}

// cantHost is the error of a program that the kernel refused in this dispatcher with
// EINVAL: perhaps it changes packet data, and then xdpmux's own dispatcher can host
// it.
type cantHost struct{ Err error }

func (e cantHost) Error() string { return e.Err.Error() }

func (e cantHost) Unwrap() error { return e.Err }

// hostPrograms loads a dispatcher for the programs and links them into it, in their
// order; those that come are loaded. A chain keeps its version, and a new one gets that
// of libxdp. The dispatcher is libxdp's own if that has the version and can host them
// all, and else xdpmux's own.
func hostPrograms(wanted []member, old *state) (*host, error) {
	want := 0 // any
	if old != nil {
		if want = old.config.Version; old.config.DeviceBound {
			return nil, deviceBound()
		}
	}
	h, err := hostIn(openDispatcher, wanted, want)
	locked := old != nil && old.locked
	switch {
	case errors.As(err, &cantHost{}):
		locked = true
		if theirs, err := dispatcherVersion(); err == nil {
			want = theirs
		}
		for _, m := range wanted {
			if m.comes != nil && !m.comes.loaded {
				if err := m.comes.reopen(); err != nil {
					return nil, err
				}
			}
		}
	case !errors.As(err, &otherVersion{}):
		return h, err
	}
	if !ownVersion(want) {
		return nil, err
	}
	own, ownErr := hostIn(func(string) (*libbpf.Program, *dispatcherFile, error) { return openOwnDispatcher(want, locked) }, wanted, want)
	if errors.Is(ownErr, errNoOwnDispatcher) {
		return nil, err
	}
	if ownErr == nil && locked {
		own.locked = err
	}
	return own, ownErr
}

func hostIn(open func(string) (*libbpf.Program, *dispatcherFile, error), wanted []member, version int) (_ *host, err error) {
	h := &host{config: layoutConfig{Count: len(wanted), Frags: true}}
	for i, m := range wanted {
		h.config.Slots[i] = m.layoutSlot
		h.config.Frags = h.config.Frags && m.hasFrags()
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
		function := slotFunction(i, len(wanted))
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

// load loads the dispatcher if it is of that version, 0 for any, with frags support if
// all its programs have that and the kernel knows it.
func (h *host) load(open func(string) (*libbpf.Program, *dispatcherFile, error), version int) (err error) {
	libxdpLock.Lock()
	h.main, h.file, err = open(dispatcherProgram)
	libxdpLock.Unlock()
	if errors.Is(err, errNoOwnDispatcher) {
		return err
	}
	if err != nil {
		return noDispatcher("libxdp's "+dispatcherObject+" can't be opened", err)
	}
	if h.config.Version, err = h.file.version(); err != nil {
		return noDispatcher("libxdp's "+dispatcherObject+" isn't as expected", err)
	}
	if version != 0 && h.config.Version != version {
		return otherVersion{there: version, theirs: h.config.Version}
	}
	if err := h.file.Maps()[0].SetInitialValue(h.config.encode()); err != nil {
		return noDispatcher("libxdp's "+dispatcherObject+" isn't as expected", err)
	}
	if h.config.Frags {
		if err := h.main.SetFlags(libbpf.FlagXDPHasFrags); err != nil {
			return err
		}
	}
	err = h.file.Load()
	if errors.Is(err, syscall.EINVAL) && h.config.Frags {
		h.file.Close()
		h.config.Frags = false
		return h.load(open, version)
	}
	if refused := denied(err); refused != nil {
		return refused
	}
	if err != nil {
		return noDispatcher("the kernel doesn't load a dispatcher ("+cause(err)+")", err)
	}
	info, err := libbpf.ProgInfoByFD(h.main.FD())
	if err != nil {
		return err
	}
	if info.Name != dispatcherProgram {
		// libbpf leaves names out after a failed check of whether the kernel takes any.
		return &Error{Kind: ErrSystem, Msg: "the kernel has loaded a dispatcher without the name that it is known by", Remedy: "try again"}
	}
	h.Loaded = Loaded{ID: info.ID, Name: info.Name, Tag: info.Tag.String()}
	return nil
}

// link puts a program in the place of the dispatcher's function, which has that
// BTF type id.
func (h *host) link(m member, function string, id uint32) (*libbpf.FD, error) {
	fd := m.fd.Int()
	if m.comes != nil {
		if err := m.comes.load(h.main.FD(), function); err != nil {
			return nil, err
		}
		fd = m.comes.bpf.FD()
	}
	l, err := libbpf.LinkCreate(fd, h.main.FD(), 0, 0, id)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EINVAL):
		return nil, cantHost{Err: noDispatcher(fmt.Sprintf("the kernel can't put program %s into a new one", m.Name), err)}
	}
	if refused := denied(err); refused != nil {
		return nil, refused
	}
	return nil, noDispatcher("the kernel can't replace a function of a running program ("+cause(err)+")", err)
}

// close lets go of the dispatcher; what is pinned and attached stays.
func (h *host) close() {
	for _, l := range h.links {
		l.Close()
	}
	if h.file != nil {
		h.file.Close()
	}
}

// load loads the program to replace that function of a dispatcher, unless it is
// loaded already: then it can be linked to any other dispatcher's.
func (o *opened) load(dispatcherFD int, function string) error {
	if o.loaded {
		return nil
	}
	if !o.obj.HasBTF() {
		return noDispatcher(withoutBTF(o), nil)
	}
	for _, step := range []func() error{
		func() error { return o.bpf.SetType(libbpf.ProgTypeExt) },
		func() error { return o.bpf.SetExpectedAttachType(0) },
		func() error { return o.bpf.SetAttachTarget(dispatcherFD, function) },
		// A dispatcher has frags support, the programs in it go with that.
		func() error { return o.bpf.SetFlags(o.bpf.Flags() &^ libbpf.FlagXDPHasFrags) },
	} {
		err := step()
		if refused := denied(err); refused != nil {
			return refused
		}
		if err != nil {
			return explainObject(o.spec.File, err)
		}
	}
	if err := o.checkMaps(); err != nil {
		return err
	}
	pin, err := o.pins.hold()
	if err != nil {
		return err
	}
	if err := o.obj.Load(); err != nil {
		return o.explainLoad(err)
	}
	o.loaded = true
	if err := o.nameMaps(); err != nil {
		return err
	}
	if err := o.fill(); err != nil {
		return err
	}
	return pin()
}

// reopen opens the object once more, as libbpf loads one only once, failed or not.
func (o *opened) reopen() error {
	o.pins.undo()                                    // libbpf takes its pins back, but not the directory that it has made
	again, err := open(context.Background(), o.spec) // of bytes that it has
	if err != nil {
		return err
	}
	again.kept = o.kept
	o.close()
	*o = *again
	return o.reuseMaps()
}

// explainLoad tells a program that the verifier refuses from a kernel that can't
// run any in a dispatcher.
func (o *opened) explainLoad(err error) error {
	if refused := denied(err); refused != nil {
		return refused
	}
	if fault := explainKernelFunctions(o, err); fault != nil {
		return fault
	}
	if fault := explainPinnedMaps(o, err); fault != nil {
		return fault
	}
	if probe := probeFreplace(); probe != nil {
		return probe
	}
	var explained error
	if log := o.obj.VerifierLog(); log != "" && !errors.Is(err, syscall.EPERM) {
		explained = explainVerifier(o, log, err)
	} else {
		explained = &Error{Kind: ErrSystem, Err: err,
			Msg:    fmt.Sprintf("can't load program %q of %s: %s", o.bpf.Name(), o.spec.File, cause(err)),
			Remedy: "-vv shows libbpf's own words"}
	}
	if errors.Is(err, syscall.EINVAL) {
		return cantHost{Err: explained}
	}
	return explained
}
