package protocol

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Dispatcher is a dispatcher as the kernel and the bpffs show it. It is read without
// libxdp, so that every version can be read, wherever its pins lie.
type Dispatcher struct {
	xdp.Loaded
	Config Config
	Locked bool   // tools of libxdp before 1.5.5 can't change the chain
	Pins   string // the directory of its pins; empty: there is none where libxdp has it
	Slots  []Slot // as many as the configuration says

	Map     *libbpf.FD // the configuration; what Open opens
	ifindex int
	mapID   uint32
	kept    string // the directory of the pins by which it is kept to come back; empty: it isn't, or has Pins
}

// Slot is one component program of a dispatcher.
type Slot struct {
	SlotConfig
	loaded.Program        // ID 0: it is gone, or can't be found
	LinkID         uint32 // of the link that holds it in the dispatcher; 0: not looked up

	// What Open and Hold open, and where the protocol has the pins of it.
	Prog, Link             *libbpf.FD // nil: it isn't open, or there is none
	ProgPinned, LinkPinned bool
}

// ErrNotDispatcher says that a program is something else.
var ErrNotDispatcher = errors.New("not a dispatcher")

// Read reads the dispatcher with that id, which is on the interface of that index. The error
// is [ErrNotDispatcher] for any other program, and ENOENT for one that is gone. Where the
// dispatcher itself could be read, and not all of its programs, it comes with the error.
func Read(ifindex int, id uint32) (*Dispatcher, error) {
	main, err := OpenMain(ifindex, id)
	if err != nil {
		return nil, err
	}
	defer main.Close() // until all is read: nothing of it can go meanwhile
	root, unread := OpenPinRoot()
	if unread == nil {
		defer root.Close()
	}
	s, err := Open(root, ifindex, id, main)
	s.Close()
	// Pins that aren't there, or that somebody else may have made, tell nothing.
	if err == nil && s.lacksPrograms() && !errors.Is(unread, fs.ErrNotExist) && !errors.Is(unread, errUntrusted) {
		err = unread
	}
	return s, err
}

// Open is Read for who has the dispatcher open, as main, and the directory of all pins, as root; nil:
// there are no pins. Unless there is an error, it leaves open the map, and the programs that it has
// found by their pins. [Dispatcher.Hold] opens the others, and [Dispatcher.Close] lets go of all.
func Open(root *PinRoot, ifindex int, id uint32, main *libbpf.FD) (*Dispatcher, error) {
	info, err := libbpf.ProgInfoByFD(main.Int())
	if err != nil {
		return nil, err
	}
	if info.ID != id || info.Name != DispatcherProgram || len(info.MapIDs) != 1 {
		return nil, ErrNotDispatcher
	}
	s := &Dispatcher{Loaded: xdp.Loaded{ID: id, Name: info.Name, Tag: info.Tag.String()}, ifindex: ifindex, mapID: info.MapIDs[0]}
	if err := s.readConfig(); err != nil {
		s.Close()
		return nil, err
	}
	if err := s.findPrograms(root); err != nil {
		s.Close()
		return s, err
	}
	return s, nil
}

func (s *Dispatcher) readConfig() (err error) {
	if s.Map, err = openConfig(s.ifindex, s.ID, s.mapID); err != nil {
		return err
	}
	value, name, err := readConfigMap(s.Map)
	if err != nil {
		return err
	}
	s.Locked = name == lockedMap
	s.Config, err = decodeConfig(value)
	return err
}

func (s *Dispatcher) lacksPrograms() bool {
	return slices.ContainsFunc(s.Slots, func(s Slot) bool { return s.ID == 0 })
}

// maxConfigSize is more than any configuration has. A map may have 2 GiB.
const maxConfigSize = 4096

// readConfigMap is the only value of a dispatcher's map, and the map's name.
func readConfigMap(fd *libbpf.FD) (value []byte, name string, err error) {
	info, err := libbpf.MapInfoByFD(fd.Int())
	if err != nil {
		return nil, "", err
	}
	if info.Type != libbpf.MapTypeArray || info.MaxEntries != 1 {
		return nil, "", ErrNotDispatcher
	}
	if info.ValueSize > maxConfigSize {
		return nil, "", notConfig(int(info.ValueSize))
	}
	value = make([]byte, info.ValueSize)
	return value, info.Name, libbpf.MapLookup(fd.Int(), make([]byte, info.KeySize), value)
}

// findPrograms finds the component programs. Each has two pins, of itself and of its link. A
// program that lacks one of them is looked for by the links of the kernel: a program that is
// pinned and has no link runs no more.
func (s *Dispatcher) findPrograms(root *PinRoot) error {
	s.Slots = make([]Slot, s.Config.Count)
	for i := range s.Slots {
		s.Slots[i].SlotConfig = s.Config.Slots[i]
	}
	all, unread := s.findByPins(root)
	if all {
		return nil
	}
	if err := s.findByLinks(); err != nil {
		return err
	}
	if s.lacksPrograms() {
		return unread
	}
	return nil
}

// findByPins finds programs by their pins, and says whether it has found all of them. unread
// is the error of a pin that is there and can't be read.
func (s *Dispatcher) findByPins(root *PinRoot) (all bool, unread error) {
	if root == nil {
		return false, nil
	}
	dir, found := PinDir(s.ifindex, s.ID), &s.Pins
	has, err := root.Has(PinName(s.ifindex, s.ID))
	if !has && err == nil {
		dir, found = KeptDir(s.ifindex, s.ID), &s.kept
		has, err = root.Has(KeptName(s.ifindex, s.ID))
	}
	if !has {
		return false, ExplainPins(err)
	}
	all = true
	for i := range s.Slots {
		p, fd, err := pinnedProgram(dir, i)
		switch {
		case errors.Is(err, syscall.ENOENT):
			all = false
		case err != nil:
			all, unread = false, err
		default:
			*found = dir
			if len(p.Name) == loaded.MaxName && !privilege.OpensByID() {
				p.Name = s.fullName(i, p.Name)
			}
			s.Slots[i].Program, s.Slots[i].Prog, s.Slots[i].ProgPinned = p, fd, s.Pins != ""
		}
	}
	return all, unread
}

// pinnedProgram reads the program that is pinned for a slot. The error is ENOENT unless
// its link is pinned too.
func pinnedProgram(dir string, slot int) (p loaded.Program, fd *libbpf.FD, err error) {
	if fd, err = libbpf.ObjGetReadOnly(ProgPin(dir, slot)); err != nil {
		return p, nil, fmt.Errorf("%s: %w", ProgPin(dir, slot), err)
	}
	if _, err = os.Lstat(LinkPin(dir, slot)); err == nil {
		p, err = loaded.ByFD(fd.Int())
	}
	if err != nil {
		fd.Close()
		return loaded.Program{}, nil, err
	}
	return p, fd, nil
}

// findByLinks looks through all links of the kernel for those into this dispatcher. The
// function that a link's program replaces tells its slot.
func (s *Dispatcher) findByLinks() error {
	functions, err := s.functions()
	if err != nil {
		return err
	}
	return loaded.EachLink(func(l *libbpf.LinkInfo) error {
		if l.Type != libbpf.LinkTypeTracing || l.TargetProgID != s.ID {
			return nil
		}
		i, ok := functions[l.TargetBTFTypeID]
		if !ok {
			return nil // a probe, such as fexit on the dispatcher
		}
		s.Slots[i].LinkID = l.ID
		if s.Slots[i].ID != 0 {
			return nil
		}
		p, err := loaded.ByID(l.ProgID)
		if errors.Is(err, syscall.ENOENT) {
			return nil
		}
		if err == nil && p.ProgType == libbpf.ProgTypeExt {
			s.Slots[i].Program = p
		}
		return err
	})
}

// functions maps the BTF type ids of the functions that component programs
// replace to their slots.
func (s *Dispatcher) functions() (map[uint32]int, error) {
	info, err := loaded.ProgInfo(s.ID)
	if err != nil {
		return nil, err
	}
	slots := map[uint32]int{}
	if info.BTFID == 0 {
		return slots, nil
	}
	btf, err := loaded.OpenBTF(info.BTFID)
	if err != nil {
		return nil, err
	}
	defer btf.Close()
	for i := range s.Slots {
		// bpfman has a lone program replace prog0, where libxdp has it replace all.
		for _, name := range []string{SlotFunction(i, len(s.Slots)), SlotFunction(i, xdp.MaxPrograms)} {
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
