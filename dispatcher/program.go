package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/cgo/libxdp"
)

// Program says which program of which object file to load, and how it takes its
// place in the chain. Only File is needed.
type Program struct {
	File     string   // the object file
	Data     []byte   // its bytes, where File is only what to call it; nil: they are read from File
	Section  string   // the ELF section that holds the program; not together with Name
	Name     string   // the function's name; neither: the first program of the file that can be XDP
	Priority *uint32  // run priority, lower runs earlier; nil: what the object says, else 50
	Actions  *Actions // chain call actions; nil: what the object says, else XDP_PASS
	Frags    *bool    // the program takes packets of several buffers; nil: what its section says
	PinPath  string   // maps that ask for pinning are pinned below it; empty: no map is pinned

	// MapSizes are the maximum numbers of entries of maps, by name, instead of those of
	// the object. A map that others use already has the size that it has.
	MapSizes map[string]uint32

	// Contents are entries that its maps have before it sees a packet. Maps that
	// others use already, found at their pin or kept by a [Replacement], keep what
	// they hold; and so do all where [Attach] falls back to a legacy program.
	Contents []MapEntry
}

// Prio is a run priority, for [Program.Priority].
func Prio(p uint32) *uint32 { return &p }

// logSize is how much of a verifier log is kept; the kernel refuses a load whose
// log doesn't fit (ENOSPC), and 16 MiB is the most it takes everywhere.
const logSize = 16<<20 - 1

// opened is a program that is ready to be loaded, or loaded.
type opened struct {
	spec  Program
	obj   *object
	names []string // of its maps, as mapName has them
	bpf   *libbpf.Program
	prog  *libxdp.Program // of one that is attached by libxdp
	pins  mapPins

	priority uint32
	actions  Actions
	frags    bool // as asked for, before the load of a chain's program clears the flag

	loaded bool     // as a program of chains
	kept   []uint32 // for each map the id of the one to use instead; 0: a new one; nil: all new

	keptMaps, newMaps []string // names, once loaded as a program of chains
}

// open opens the object, picks the program and sets it up as p says.
func open(ctx context.Context, p Program) (_ *opened, err error) {
	if p.Section != "" && p.Name != "" {
		return nil, &Error{Kind: ErrInvalid, Msg: "both a section and a program name are given", Remedy: "give only one of --section and --prog-name"}
	}
	if p.Data == nil {
		if p.Data, err = readObject(ctx, p.File); err != nil {
			return nil, err
		}
	}
	obj, err := openObject(p.File, p.Data, libbpf.OpenOptions{PinRoot: p.PinPath, LogSize: logSize})
	if err != nil {
		return nil, err
	}
	o := &opened{spec: p, obj: obj}
	defer func() {
		if err != nil {
			o.close()
		}
	}()
	for _, m := range obj.Maps() {
		o.names = append(o.names, obj.mapName(m))
	}
	all := obj.Programs()
	if o.bpf, err = pick(p, all); err != nil {
		return nil, err
	}
	if o.bpf.Type() != libbpf.ProgTypeXDP { // a section name that libbpf doesn't know
		if err := o.bpf.SetType(libbpf.ProgTypeXDP); err != nil {
			return nil, err
		}
		if err := o.bpf.SetExpectedAttachType(libbpf.AttachXDP); err != nil {
			return nil, err
		}
	}
	for _, sibling := range all {
		if err := sibling.SetAutoload(sibling == o.bpf); err != nil {
			return nil, err
		}
	}
	if err := sizeMaps(p, obj); err != nil {
		return nil, err
	}
	if o.pins, err = preparePins(obj.Object, p.PinPath); err != nil {
		return nil, err
	}
	return o, o.configure()
}

// configure finds out how the program takes its place in a chain.
func (o *opened) configure() (err error) {
	if o.priority, o.actions, err = o.obj.place(o.spec.File, o.bpf.Name()); err != nil {
		return err
	}
	if o.spec.Priority != nil {
		o.priority = *o.spec.Priority
	}
	if o.spec.Actions != nil {
		o.actions = *o.spec.Actions
	}
	o.frags = wantsFrags(o.bpf)
	if o.spec.Frags != nil {
		o.frags = *o.spec.Frags
	}
	flags := o.bpf.Flags() &^ libbpf.FlagXDPHasFrags
	if o.frags {
		flags |= libbpf.FlagXDPHasFrags
	}
	return o.bpf.SetFlags(flags)
}

// xdpProgram is the program as libxdp takes it.
func (o *opened) xdpProgram() (*libxdp.Program, error) {
	libxdpLock.Lock()
	defer libxdpLock.Unlock()
	prog, err := libxdp.FromObject(o.obj.Object, o.bpf.Name())
	if err != nil {
		return nil, explainObject(o.spec.File, err)
	}
	o.prog = prog
	errs := []error{prog.SetRunPrio(o.priority), prog.SetFragsSupport(o.frags)}
	for v := range NumVerdicts {
		errs = append(errs, prog.SetChainCallEnabled(uint32(v), o.actions.Has(v)))
	}
	return prog, errors.Join(errs...)
}

// wantsFrags says whether a program that isn't loaded yet takes packets of several
// buffers.
func wantsFrags(p *libbpf.Program) bool {
	return p.Flags()&libbpf.FlagXDPHasFrags != 0 || fragsSection(p.Section())
}

// fragsSection says whether a section's name asks for frags. libbpf acts on the
// name only when it loads the program as type xdp, which in a chain it isn't.
func fragsSection(section string) bool {
	return section == "xdp.frags" || strings.HasPrefix(section, "xdp.frags/")
}

// canBeXDP says whether a program is XDP, or in a section whose name says nothing
// to libbpf, such as xdp_drop.
func canBeXDP(p *libbpf.Program) bool {
	return p.Type() == libbpf.ProgTypeXDP || p.Type() == libbpf.ProgTypeUnspec
}

// pick finds the program of an object that p names, or the first that can be XDP.
func pick(p Program, all []*libbpf.Program) (*libbpf.Program, error) {
	var sections, names []string
	for _, prog := range all {
		sections = append(sections, prog.Section())
		names = append(names, prog.Name())
		if p.Section != "" && prog.Section() == p.Section ||
			p.Name != "" && prog.Name() == p.Name ||
			p.Section == "" && p.Name == "" && canBeXDP(prog) {
			if !canBeXDP(prog) {
				return nil, notXDP(p, prog, all)
			}
			return prog, nil
		}
	}
	e := &Error{Kind: ErrObject}
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
func notXDP(p Program, prog *libbpf.Program, all []*libbpf.Program) error {
	var names []string
	for _, other := range all {
		if canBeXDP(other) {
			names = append(names, other.Name())
		}
	}
	e := &Error{Kind: ErrObject, Msg: fmt.Sprintf("program %q of %s is not an XDP program but %s", prog.Name(), p.File, prog.Type())}
	if len(names) > 0 {
		e.Remedy = "its programs that are: " + strings.Join(names, ", ")
	}
	return e
}

func (o *opened) close() {
	if o.prog != nil {
		libxdpLock.Lock()
		o.prog.Close()
		libxdpLock.Unlock()
	}
	o.obj.Close()
}

func openAll(ctx context.Context, programs []Program) ([]*opened, error) {
	all := make([]*opened, 0, len(programs))
	for _, p := range programs {
		o, err := open(ctx, p)
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

func closeAll(all []*opened) {
	for _, o := range all {
		o.close()
	}
}
