package protocol

import (
	"encoding/binary"
	"fmt"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func (s *SlotConfig) SetFrags(on bool) {
	s.Flags &^= libbpf.FlagXDPHasFrags
	if on {
		s.Flags |= libbpf.FlagXDPHasFrags
	}
}

func (s *SlotConfig) HasFrags() bool { return s.Flags&libbpf.FlagXDPHasFrags != 0 }

// The dispatcher protocol of libxdp: a program called xdp_dispatcher with one map,
// whose single value is the configuration, and functions prog0 to prog9 that the
// component programs replace, pinned below <bpffs>/xdp/dispatch-IFINDEX-ID.
const (
	DispatcherProgram = "xdp_dispatcher"
	dispatcherMagic   = 236 // 'X' + 'D' + 'P'

	// alwaysContinue is set in every chain call action set of the configuration:
	// it is what a slot without a program returns.
	alwaysContinue = 1 << 31
)

// configSizes are how many bytes the configuration has in each version. Version 1 has
// no header and no flags. Version 3 ends with is_xdp_devbound and padding.
var configSizes = map[int]int{
	1: 4 + 2*4*xdp.MaxPrograms,
	2: 4 + 3*4*xdp.MaxPrograms,
	3: 4 + 3*4*xdp.MaxPrograms + 4,
}

// MaxVersion is the newest dispatcher version whose layout is known: libxdp up to
// 1.2 writes 1, up to 1.5 writes 2, from 1.6 on 3.
const MaxVersion = 3

// Config is the configuration of a dispatcher (struct
// xdp_dispatcher_config), of whichever version.
type Config struct {
	Version     int
	Count       int  // of component programs
	Frags       bool // the dispatcher was loaded with frags support
	DeviceBound bool // the dispatcher is bound to its device, so that programs may ask for the device's metadata
	Slots       [xdp.MaxPrograms]SlotConfig
}

// SlotConfig is what the configuration says of one component program.
type SlotConfig struct {
	Priority uint32
	Actions  xdp.Actions // without alwaysContinue
	Flags    uint32      // BPF_F_XDP_HAS_FRAGS where the program has frags support; BPF_F_XDP_DEV_BOUND_ONLY is Config.DeviceBound
}

// decodeConfig reads the value of a dispatcher's map, which is in the byte order
// of the machine. Each version has a size of its own, which libxdp insists on too.
func decodeConfig(value []byte) (Config, error) {
	var c Config
	u32 := func(i int) uint32 { return binary.NativeEndian.Uint32(value[4+4*i:]) }
	switch {
	case len(value) == configSizes[1]:
		c.Version, c.Count = 1, int(value[0])
	case len(value) >= configSizes[2] && value[0] == dispatcherMagic:
		c.Version, c.Count, c.Frags = int(value[1]), int(value[2]), value[3] != 0
		if c.Version < 2 || c.Version > MaxVersion {
			return c, fmt.Errorf("the dispatcher has version %d, and xdpmux knows 1 to %d", c.Version, MaxVersion)
		}
	}
	if c.Version == 0 || len(value) != configSizes[c.Version] {
		return c, notConfig(len(value))
	}
	if c.Version == 3 {
		c.DeviceBound = value[configSizes[2]] != 0
	}
	if c.Count > xdp.MaxPrograms {
		return c, fmt.Errorf("the dispatcher's configuration speaks of %d programs", c.Count)
	}
	for i := range c.Slots {
		c.Slots[i] = SlotConfig{Actions: xdp.Actions(u32(i) &^ alwaysContinue), Priority: u32(xdp.MaxPrograms + i)}
		if c.Version > 1 {
			flags := u32(2*xdp.MaxPrograms + i)
			c.DeviceBound = c.DeviceBound || i < c.Count && flags&libbpf.FlagXDPDevBoundOnly != 0
			c.Slots[i].Flags = flags &^ libbpf.FlagXDPDevBoundOnly
		}
	}
	return c, nil
}

func notConfig(size int) error {
	return fmt.Errorf("a configuration of %d bytes is not of a libxdp dispatcher", size)
}

// Encode is the map value for c, the reverse of decodeConfig.
func (c Config) Encode() []byte {
	value := make([]byte, 4, configSizes[MaxVersion])
	if c.Version == 1 {
		value[0] = byte(c.Count)
	} else {
		copy(value, []byte{dispatcherMagic, byte(c.Version), byte(c.Count), 0})
		if c.Frags {
			value[3] = 1
		}
	}
	add := func(field func(SlotConfig) uint32) {
		for i, s := range c.Slots {
			var v uint32
			if i < c.Count {
				v = field(s)
			}
			value = binary.NativeEndian.AppendUint32(value, v)
		}
	}
	add(func(s SlotConfig) uint32 { return uint32(s.Actions) | alwaysContinue })
	add(func(s SlotConfig) uint32 { return s.Priority })
	// libxdp 1.6 has the flag for each program of a bound chain. Version 2 has no other room
	// for it, and libxdp before 1.6 doesn't look at it.
	bound := uint32(0)
	if c.DeviceBound {
		bound = libbpf.FlagXDPDevBoundOnly
	}
	if c.Version > 1 {
		add(func(s SlotConfig) uint32 { return s.Flags | bound })
	}
	if c.Version == 3 {
		value = append(value, 0, 0, 0, 0)
		if c.DeviceBound {
			value[configSizes[2]] = 1
		}
	}
	return value
}

// SlotFunction is the function of the dispatcher that the program in a slot
// replaces. A lone program replaces the dispatcher's own function.
func SlotFunction(slot, count int) string {
	if count == 1 {
		return DispatcherProgram
	}
	return fmt.Sprintf("prog%d", slot)
}

// PinName is what the directory of a dispatcher's pins is called.
func PinName(ifindex int, id uint32) string { return fmt.Sprintf("dispatch-%d-%d", ifindex, id) }

// PinDir is where it lies.
func PinDir(ifindex int, id uint32) string { return PinRootDir() + "/" + PinName(ifindex, id) }

// KeptName is what the directory of pins is called that keep the dispatcher or lone program
// of that id, so that it can come back. Tools of libxdp leave such a directory alone.
func KeptName(ifindex int, id uint32) string { return fmt.Sprintf("pending-%d-%d", ifindex, id) }

// KeptID reads a name of KeptName.
func KeptID(name string) (ifindex int, id uint32, ok bool) {
	n, _ := fmt.Sscanf(name, "pending-%d-%d", &ifindex, &id)
	return ifindex, id, n == 2
}

// KeptDir is where it lies.
func KeptDir(ifindex int, id uint32) string { return PinRootDir() + "/" + KeptName(ifindex, id) }

// MainPin is the pin of the dispatcher or lone program in such a directory.
func MainPin(dir string) string { return dir + "/main" }

// ConfigPin is the pin of the dispatcher's map there.
func ConfigPin(dir string) string { return dir + "/config" }

// NamePin is where a name is kept there that the kernel cuts; see KeepName.
func NamePin(dir string, slot int) string { return fmt.Sprintf("%s/name%d", dir, slot) }

// ProgPin is the pin of the program in a slot, prog0 for a lone program too.
func ProgPin(dir string, slot int) string { return fmt.Sprintf("%s/prog%d-prog", dir, slot) }

// LinkPin is the pin of the link that holds the program in the dispatcher.
func LinkPin(dir string, slot int) string { return fmt.Sprintf("%s/prog%d-link", dir, slot) }
