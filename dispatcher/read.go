package dispatcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// state is a dispatcher as the kernel and the bpffs show it. It is read without
// libxdp, so that every version can be read, wherever its pins lie.
type state struct {
	Loaded
	config layoutConfig
	locked bool   // a program of it is such that tools of libxdp before 1.5.5 can't change the chain
	pins   string // the directory of its pins; empty: there is none where libxdp has it
	slots  []slot // as many as the configuration says
}

// slot is one component program of a dispatcher.
type slot struct {
	layoutSlot
	Loaded                 // ID 0: the program is gone, or can't be found
	loadTime time.Duration // since boot
	linkID   uint32        // of the link that holds it in the dispatcher; 0: not looked up
}

// errNotDispatcher says that a program is something else.
var errNotDispatcher = errors.New("not a dispatcher")

// readDispatcher reads the dispatcher that is loaded with that id and sits on the
// interface of that index. The error is errNotDispatcher for any other program,
// and ENOENT for one that is gone.
func readDispatcher(ifindex int, id uint32) (*state, error) {
	fd, err := libbpf.ProgByID(id)
	if err != nil {
		return nil, err
	}
	defer fd.Close() // until all is read: nothing of it can go meanwhile
	info, err := libbpf.ProgInfoByFD(fd.Int())
	if err != nil {
		return nil, err
	}
	if info.Name != dispatcherProgram || len(info.MapIDs) != 1 {
		return nil, errNotDispatcher
	}
	s := &state{Loaded: Loaded{ID: id, Name: info.Name, Tag: info.Tag.String()}}
	value, name, err := readConfigMap(info.MapIDs[0])
	if err != nil {
		return nil, err
	}
	s.locked = name == lockedMap
	if s.config, err = decodeConfig(value); err != nil {
		return nil, err
	}
	return s, s.findPrograms(ifindex)
}

// maxConfigSize is more than any configuration has. A map may have 2 GiB.
const maxConfigSize = 4096

// readConfigMap is the only value of a dispatcher's map, and the map's name.
func readConfigMap(id uint32) (value []byte, name string, err error) {
	fd, err := libbpf.MapByID(id)
	if err != nil {
		return nil, "", err
	}
	defer fd.Close()
	info, err := libbpf.MapInfoByFD(fd.Int())
	if err != nil {
		return nil, "", err
	}
	if info.Type != libbpf.MapTypeArray || info.MaxEntries != 1 {
		return nil, "", errNotDispatcher
	}
	if info.ValueSize > maxConfigSize {
		return nil, "", notConfig(int(info.ValueSize))
	}
	value = make([]byte, info.ValueSize)
	return value, info.Name, libbpf.MapLookup(fd.Int(), make([]byte, info.KeySize), value)
}

// findPrograms finds the component programs by the pins of the protocol, and
// those that lack one of their two by the links that hold them: a program without
// its link is pinned, but runs no more.
func (s *state) findPrograms(ifindex int) error {
	s.slots = make([]slot, s.config.Count)
	for i := range s.slots {
		s.slots[i].layoutSlot = s.config.Slots[i]
	}
	all, unread := s.findByPins(ifindex)
	if all {
		return nil
	}
	if err := s.findByLinks(); err != nil {
		return err
	}
	if slices.ContainsFunc(s.slots, func(s slot) bool { return s.ID == 0 }) {
		return unread
	}
	return nil
}

// findByPins says whether it has found all of them. The error is that of a pin that is
// there and can't be read.
func (s *state) findByPins(ifindex int) (all bool, unread error) {
	root, err := openPinRoot()
	if err != nil {
		// Pins that somebody else may have made tell nothing.
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errUntrusted) {
			err = nil
		}
		return false, err
	}
	defer root.close()
	if has, err := root.has(pinName(ifindex, s.ID)); !has {
		return false, explainPins(err)
	}
	dir := pinDir(ifindex, s.ID)
	all = true
	for i := range s.slots {
		p, err := pinnedProgram(dir, i)
		switch {
		case errors.Is(err, syscall.ENOENT):
			all = false
		case err != nil:
			all, unread = false, err
		default:
			s.pins = dir
			s.slots[i].Loaded, s.slots[i].loadTime = p.Loaded, p.loadTime
		}
	}
	return all, unread
}

// pinnedProgram reads the program that is pinned for a slot. The error is ENOENT unless
// its link is pinned too.
func pinnedProgram(dir string, slot int) (kernelProgram, error) {
	fd, err := libbpf.ObjGetReadOnly(progPin(dir, slot))
	if err != nil {
		return kernelProgram{}, fmt.Errorf("%s: %w", progPin(dir, slot), err)
	}
	defer fd.Close()
	if _, err := os.Lstat(linkPin(dir, slot)); err != nil {
		return kernelProgram{}, err
	}
	return loadedByFD(fd.Int())
}

// findByLinks looks through all links of the kernel for those into s. The
// function that each replaces tells its slot.
func (s *state) findByLinks() error {
	functions, err := s.functions()
	if err != nil {
		return err
	}
	return eachLink(func(l *libbpf.LinkInfo) error {
		if l.Type != libbpf.LinkTypeTracing || l.TargetProgID != s.ID {
			return nil
		}
		i, ok := functions[l.TargetBTFTypeID]
		if !ok {
			return nil // a probe, such as fexit on the dispatcher
		}
		s.slots[i].linkID = l.ID
		if s.slots[i].ID != 0 {
			return nil
		}
		p, err := loadedByID(l.ProgID)
		if errors.Is(err, syscall.ENOENT) {
			return nil
		}
		if err == nil && p.progType == libbpf.ProgTypeExt {
			s.slots[i].Loaded, s.slots[i].loadTime = p.Loaded, p.loadTime
		}
		return err
	})
}

// functions maps the BTF type ids of the functions that component programs
// replace to their slots.
func (s *state) functions() (map[uint32]int, error) {
	info, err := progInfo(s.ID)
	if err != nil {
		return nil, err
	}
	slots := map[uint32]int{}
	if info.BTFID == 0 {
		return slots, nil
	}
	btf, err := libbpf.LoadBTF(info.BTFID)
	if err != nil {
		return nil, err
	}
	defer btf.Close()
	for i := range s.slots {
		// bpfman has a lone program replace prog0, where libxdp has it replace all.
		for _, name := range []string{slotFunction(i, len(s.slots)), slotFunction(i, MaxPrograms)} {
			id, err := btf.Find(name, libbpf.KindFunc)
			if err == nil {
				slots[id] = i
			} else if !errors.Is(err, syscall.ENOENT) {
				return nil, err
			}
		}
	}
	return slots, nil
}

// eachLink calls f for every link of the kernel.
func eachLink(f func(*libbpf.LinkInfo) error) error {
	for id := uint32(0); ; {
		next, err := libbpf.NextLinkID(id)
		if errors.Is(err, syscall.ENOENT) {
			return nil
		}
		if err != nil {
			return err
		}
		id = next
		info, err := linkInfo(id)
		if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.EAGAIN) {
			continue // gone meanwhile, or not made yet
		}
		if err == nil {
			err = f(info)
		}
		if err != nil {
			return err
		}
	}
}

// kernelProgram is a program as the kernel shows it.
type kernelProgram struct {
	Loaded
	progType libbpf.ProgType
	loadTime time.Duration // since boot
}

func loadedByID(id uint32) (kernelProgram, error) {
	fd, err := libbpf.ProgByID(id)
	if err != nil {
		return kernelProgram{}, err
	}
	defer fd.Close()
	return loadedByFD(fd.Int())
}

// loadedByFD reads a program's identity. The kernel cuts names to 15 characters;
// the whole name is in the program's BTF.
func loadedByFD(fd int) (kernelProgram, error) {
	info, err := libbpf.ProgInfoByFD(fd)
	if err != nil {
		return kernelProgram{}, err
	}
	p := kernelProgram{Loaded: Loaded{ID: info.ID, Name: info.Name, Tag: info.Tag.String()}, progType: info.Type, loadTime: info.LoadTime}
	if len(info.Name) < maxKernelName || info.BTFID == 0 {
		return p, nil
	}
	function, err := libbpf.ProgFuncType(fd)
	if err != nil {
		return p, nil // the cut name will do
	}
	btf, err := libbpf.LoadBTF(info.BTFID)
	if err != nil {
		return p, nil
	}
	defer btf.Close()
	if name := btf.TypeName(function); name != "" {
		p.Name = name
	}
	return p, nil
}

// maxKernelName is how much of a name the kernel keeps (BPF_OBJ_NAME_LEN less the
// NUL).
const maxKernelName = 15
