package observe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/bpf"
	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/objectfile"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// probe says which programs of which probe object are to be attached.
type probe struct {
	object   string
	programs []string       // the exit probe last
	config   any            // struct config of the object
	shared   map[string]int // descriptors of maps to use instead of the object's own
	entries  map[string]int // sizes of its maps, where they aren't those of the object
	filter   []byte         // code of its function filter; nil: the object's own, which isn't called
}

// probed is one loaded probe object. Its links are pinned nowhere: they end with
// their descriptors, also when the process is killed.
type probed struct {
	obj   *libbpf.Object
	exit  *libbpf.Program
	links []*libbpf.FD
}

// attach attaches the probe to a running program of the chain.
func (p probe) attach(c *dispatcher.Chain, to xdp.Loaded) (_ *probed, err error) {
	target, err := c.Open(to.ID)
	if err != nil {
		return nil, explain(to, err)
	}
	defer target.Close()
	if info, err := libbpf.ProgInfoByFD(target.Int()); err == nil && info.BTFID == 0 {
		return nil, &xdp.Error{Kind: xdp.ErrObject,
			Msg:    fmt.Sprintf("program %d (%s) has no type information (BTF)", to.ID, to.Name),
			Remedy: "compile it with -g"}
	}
	function, err := libbpf.ProgFuncType(target.Int())
	if err != nil {
		return nil, explain(to, err)
	}
	result, wanted, err := p.load(&libbpf.Target{FD: target.Int(), BTFID: function})
	if err != nil {
		return nil, explain(to, err)
	}
	defer func() {
		if err != nil {
			result.close()
			err = explain(to, err)
		}
	}()
	for _, prog := range wanted {
		link, err := libbpf.TraceAttach(prog.FD())
		if errors.Is(err, syscall.E2BIG) {
			return nil, tooMany(to, err)
		}
		if err != nil {
			return nil, err
		}
		result.links = append(result.links, link)
	}
	return result, nil
}

// load loads the programs that are wanted. at says what they trace; nil: they trace nothing.
func (p probe) load(at *libbpf.Target) (_ *probed, wanted []*libbpf.Program, err error) {
	data, err := p.read()
	if err != nil {
		return nil, nil, err
	}
	opts := libbpf.OpenOptions{Name: p.object, LogSize: logSize}
	if types := typesFile(); types != nil {
		defer types.Close()
		opts.BTFPath = fmt.Sprintf("/proc/self/fd/%d", types.Fd())
	}
	obj, err := libbpf.OpenMem(data, opts)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			obj.Close()
		}
	}()
	if err := p.configure(obj); err != nil {
		return nil, nil, err
	}
	all := obj.Programs()
	var targets []libbpf.Target
	for _, name := range p.programs {
		prog := native.Named(all, name)
		wanted = append(wanted, prog)
		if at != nil {
			targets = append(targets, libbpf.Target{Program: prog, Type: prog.Type(), Attach: prog.ExpectedAttachType(), FD: at.FD, BTFID: at.BTFID})
		}
	}
	if err := native.LoadOnly(all, wanted...); err != nil {
		return nil, nil, err
	}
	return &probed{obj: obj, exit: wanted[len(wanted)-1]}, wanted, obj.Load(targets...)
}

// read gives the object the filter.
func (p probe) read() ([]byte, error) {
	data, err := bpf.Probe(p.object)
	if err != nil || p.filter == nil {
		return data, err
	}
	file, err := objectfile.Parse(data)
	if err != nil {
		return nil, err
	}
	return file.WithFunction("filter", p.filter)
}

// logSize is enough for the end of what the verifier says about a probe.
const logSize = 1 << 20

func (p probe) configure(obj *libbpf.Object) error {
	for _, m := range obj.Maps() {
		if fd, ok := p.shared[m.Name()]; ok {
			if err := m.ReuseFD(fd); err != nil {
				return err
			}
		}
		if n, ok := p.entries[m.Name()]; ok {
			if err := m.SetMaxEntries(n); err != nil {
				return err
			}
		}
		if strings.HasSuffix(m.Name(), ".rodata") {
			// The one constant of a probe, struct config.
			if _, err := binary.Encode(m.InitialValue(), binary.NativeEndian, p.config); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *probed) mapFD(name string) int {
	for _, m := range p.obj.Maps() {
		if m.Name() == name {
			return m.FD()
		}
	}
	return -1
}

// missed is how often the kernel left the exit probe out because it ran already. That probe
// comes last.
func (p *probed) missed() (uint64, error) {
	info, err := libbpf.ProgInfoByFD(p.exit.FD())
	if err != nil {
		return 0, err
	}
	return info.Misses, nil
}

// detach ends the probe, whose maps stay readable.
func (p *probed) detach() {
	for _, link := range p.links {
		link.Close()
	}
}

func (p *probed) close() {
	if p != nil {
		p.detach()
		p.obj.Close()
	}
}

// explain says why a program can't be observed.
func explain(to xdp.Loaded, err error) error {
	var known *xdp.Error
	if errors.As(err, &known) {
		return err
	}
	reason := native.Cause(err)
	switch {
	case errors.Is(err, syscall.ENOENT):
		return &xdp.Error{Kind: xdp.ErrNoProgram, Err: err, Msg: fmt.Sprintf("program %d is gone", to.ID)}
	case dispatcher.VerifierLog(err) != "":
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOTSUP):
		return (&xdp.Error{Kind: xdp.ErrKernel, Err: err,
			Msg: fmt.Sprintf("the kernel can't trace running programs with fentry and fexit (%s)", reason)}).
			Advise("%v says what the system lacks; it takes root, a kernel from 5.5 on with BTF, and the BPF JIT", xdp.Hint{To: xdp.HintCheck})
	}
	return (&xdp.Error{Kind: xdp.ErrKernel, Err: err,
		Msg: fmt.Sprintf("the kernel refused to trace program %d (%s): %s", to.ID, to.Name, reason)}).
		Advise("%v", xdp.Hint{To: xdp.HintVerifierLog})
}

// tooMany explains E2BIG: the kernel attaches 38 tracing programs to a program at most
// (BPF_MAX_TRAMP_LINKS).
func tooMany(to xdp.Loaded, err error) error {
	return &xdp.Error{Kind: xdp.ErrKernel, Err: err,
		Msg:    fmt.Sprintf("program %d (%s) has too many observers already: the kernel takes no further one", to.ID, to.Name),
		Remedy: "end another observer of it, or another tracing tool; bpftool prog lists their programs, of type tracing"}
}

// passing says whether what kept a program from being observed may go away by itself.
func passing(err error) bool {
	for _, errno := range []syscall.Errno{syscall.E2BIG, syscall.ENOMEM, syscall.EBUSY, syscall.EAGAIN, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
