package object

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/cgo/libxdp"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// LogSize is how many bytes of a verifier log are kept. The kernel refuses a load whose log
// doesn't fit (ENOSPC). 16 MiB is the most that every kernel takes.
const LogSize = 16<<20 - 1

// Program is a program that is ready to be loaded, or loaded.
type Program struct {
	Spec   xdp.Program
	Called string // what errors call the object
	Obj    *File
	names  []string // of its maps, as mapName has them
	Bpf    *libbpf.Program
	Prog   *libxdp.Program // of one that is attached by libxdp
	Pins   mapPins

	Insns    int // in the file, before relocation
	Priority uint32
	Actions  xdp.Actions
	Frags    bool // what was asked for; for a chain the load clears the program's flag

	Metadata []string // the kernel's functions by which it asks the driver for metadata; see MetadataCalls
	lacking  []string // those of them that the kernel doesn't have

	Loaded bool     // as a program of chains
	Kept   []uint32 // for each map the id of the loaded one to use instead, 0 for a new one; nil: all are new
	calls  []call   // what its program arrays are to hold
	uses   []uint32 // of one that is loaded anew, the maps of the program that runs
	filled []bool   // for each map: LoadMaps fills it with more than Spec.Contents; nil: none
	pins   []bool   // for each map: the object asks for its pin

	KeptMaps, NewMaps []string // names, once loaded as a program of chains
}

// Open opens the object, picks the program and sets it up as p says.
func Open(ctx context.Context, p xdp.Program) (_ *Program, err error) {
	if p.Section != "" && p.Name != "" {
		return nil, (&xdp.Error{Kind: xdp.ErrInvalid, Msg: "both a section and a program name are given"}).
			Advise("give only one of %v and %v", xdp.Hint{To: xdp.HintSection}, xdp.Hint{To: xdp.HintName})
	}
	if p.File == "" && p.Data == nil {
		return nil, &xdp.Error{Kind: xdp.ErrInvalid, Msg: "a program without an object", Remedy: "give its File or its Data"}
	}
	if p.Data == nil {
		if p.Data, err = ReadFile(ctx, p.File); err != nil {
			return nil, err
		}
	}
	if p.TailCalls, err = withData(ctx, p.TailCalls); err != nil {
		return nil, err
	}
	o := &Program{Spec: p}
	if p.File == "" {
		p.File = unnamed
	}
	obj, err := OpenFile(p.File, p.Data, libbpf.OpenOptions{PinRoot: p.PinPath, LogSize: LogSize})
	if err != nil {
		return nil, err
	}
	o.Called, o.Obj = p.File, obj
	defer func() {
		if err != nil {
			o.Close()
		}
	}()
	for _, m := range obj.Maps() {
		o.names = append(o.names, obj.mapName(m))
		o.pins = append(o.pins, m.PinPath() != "")
	}
	all := obj.Programs()
	if o.calls, err = callsOf(obj, p.TailCalls); err != nil {
		return nil, err
	}
	if o.Bpf, err = obj.Pick(p, all); err != nil {
		return nil, err
	}
	o.Insns = o.Bpf.Insns()
	o.Metadata, o.lacking = metadataOf(obj.File, o.Bpf.Name())
	if o.Bpf.Type() != libbpf.ProgTypeXDP { // a section name that libbpf doesn't know
		if err := o.Bpf.SetType(libbpf.ProgTypeXDP); err != nil {
			return nil, err
		}
		if err := o.Bpf.SetExpectedAttachType(libbpf.AttachXDP); err != nil {
			return nil, err
		}
	}
	if err := native.LoadOnly(all, o.Bpf); err != nil {
		return nil, err
	}
	if err := sizeMaps(p, obj); err != nil {
		return nil, err
	}
	if err := obj.checkCalls(p.File, o.calls); err != nil {
		return nil, err
	}
	if err := setVariables(p.File, p.Variables, obj); err != nil {
		return nil, err
	}
	if o.Pins, err = preparePins(obj.Object, p.PinPath); err != nil {
		return nil, err
	}
	if err := o.configure(); err != nil {
		return nil, err
	}
	return o, o.useMaps()
}

// configure finds out how the program takes its place in a chain.
func (o *Program) configure() (err error) {
	if o.Priority, o.Actions, err = o.Obj.Place(o.Called, o.Bpf.Name()); err != nil {
		return err
	}
	if o.Spec.Priority != nil {
		o.Priority = *o.Spec.Priority
	}
	if o.Spec.Actions != nil {
		o.Actions = *o.Spec.Actions
	}
	o.Frags = WantsFrags(o.Bpf)
	if o.Spec.Frags != nil {
		o.Frags = *o.Spec.Frags
	}
	flags := o.Bpf.Flags() &^ libbpf.FlagXDPHasFrags
	if o.Frags {
		flags |= libbpf.FlagXDPHasFrags
	}
	return o.Bpf.SetFlags(flags)
}

// useMaps has the load use the maps of Spec.UseMaps.
func (o *Program) useMaps() error {
	if len(o.Spec.UseMaps) == 0 {
		return nil
	}
	o.Kept = make([]uint32, len(o.names))
	for name, id := range o.Spec.UseMaps {
		i := slices.Index(o.names, name)
		if i < 0 {
			return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("%s has no map %q", o.Called, name), Remedy: fmt.Sprintf("its maps: %q", o.names)}
		}
		o.Kept[i] = id
	}
	return o.reuseMaps()
}

// reuseMaps makes the load use the maps that were chosen.
func (o *Program) reuseMaps() error {
	for i, m := range o.Obj.Maps() {
		if !o.keeps(i) {
			continue
		}
		fd, err := loaded.OpenMap(o.Kept[i])
		if err != nil {
			return fmt.Errorf("map %s: %w", m.Name(), err)
		}
		err = m.ReuseFD(fd.Int())
		fd.Close()
		if err != nil {
			return fmt.Errorf("map %s: %w", m.Name(), err)
		}
	}
	return nil
}

// keeps says whether the object's map of that index is to be one that is loaded.
func (o *Program) keeps(i int) bool { return o.Kept != nil && o.Kept[i] != 0 }

// XdpProgram is the program as libxdp takes it.
func (o *Program) XdpProgram() (*libxdp.Program, error) {
	native.Lock.Lock()
	defer native.Lock.Unlock()
	prog, err := libxdp.FromObject(o.Obj.Object, o.Bpf.Name())
	if err != nil {
		return nil, explainObject(o.Called, err)
	}
	o.Prog = prog
	errs := []error{prog.SetRunPrio(o.Priority), prog.SetFragsSupport(o.Frags)}
	for v := range xdp.NumVerdicts {
		errs = append(errs, prog.SetChainCallEnabled(uint32(v), o.Actions.Has(v)))
	}
	return prog, errors.Join(errs...)
}

// Pick finds the program of an object that p names, or the first that can be XDP. all are the
// object's. Unless p gives its name, a program that others call comes after those that only a
// packet starts.
func (o *File) Pick(p xdp.Program, all []*libbpf.Program) (*libbpf.Program, error) {
	var sections, names []string
	var called *libbpf.Program
	for _, prog := range all {
		sections = append(sections, prog.Section())
		names = append(names, prog.Name())
		if p.Section != "" && prog.Section() == p.Section ||
			p.Name != "" && prog.Name() == p.Name ||
			p.Section == "" && p.Name == "" && CanBeXDP(prog) {
			if !CanBeXDP(prog) {
				return nil, notXDP(p, prog, all)
			}
			if p.Name != "" || !o.isCalled(p, prog.Name()) {
				return prog, nil
			}
			if called == nil {
				called = prog
			}
		}
	}
	if called != nil {
		return called, nil
	}
	e := &xdp.Error{Kind: xdp.ErrObject}
	switch {
	case len(all) == 0:
		e.Msg = fmt.Sprintf("%s holds no BPF program", p.File)
		e.Remedy = `a program is a function in a section such as SEC("xdp")`
	case p.Section != "":
		e.Msg = fmt.Sprintf("%s has no section %q", p.File, p.Section)
		e.Remedy = "its sections with programs: " + strings.Join(sections, ", ")
	case p.Name != "":
		e.Msg = fmt.Sprintf("%s has no program %q", p.File, p.Name)
		e.Remedy = "its programs: " + strings.Join(names, ", ")
	default:
		e.Msg = fmt.Sprintf("%s holds no XDP program", p.File)
		e.Remedy = "its sections with programs: " + strings.Join(sections, ", ")
	}
	return nil, e
}

// notXDP refuses a program that was asked for and is for something else.
func notXDP(p xdp.Program, prog *libbpf.Program, all []*libbpf.Program) error {
	var names []string
	for _, other := range all {
		if CanBeXDP(other) {
			names = append(names, other.Name())
		}
	}
	e := &xdp.Error{Kind: xdp.ErrObject, Msg: fmt.Sprintf("program %q of %s is not an XDP program but %s", prog.Name(), p.File, prog.Type())}
	if len(names) > 0 {
		e.Remedy = "its programs that are: " + strings.Join(names, ", ")
	}
	return e
}

func (o *Program) Close() {
	if o.Prog != nil {
		native.Lock.Lock()
		o.Prog.Close()
		native.Lock.Unlock()
	}
	o.Obj.Close()
}

func OpenAll(ctx context.Context, programs []xdp.Program) ([]*Program, error) {
	all := make([]*Program, 0, len(programs))
	for _, p := range programs {
		o, err := Open(ctx, p)
		if err != nil {
			CloseAll(all)
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

func CloseAll(all []*Program) {
	for _, o := range all {
		o.Close()
	}
}
