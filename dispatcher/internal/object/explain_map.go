package object

import (
	"fmt"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// ExplainPinnedMaps finds the map of an object whose pin is taken by one of
// another layout, which libbpf then doesn't reuse; nil if there is none.
func ExplainPinnedMaps(o *Program, err error) error {
	for _, m := range o.Obj.Maps() {
		path := m.PinPath()
		if path == "" {
			continue
		}
		fd, openErr := libbpf.ObjGet(path)
		if openErr != nil {
			continue
		}
		info, infoErr := libbpf.MapInfoByFD(fd.Int())
		fd.Close()
		if infoErr != nil || layoutOf(m) == layoutOfInfo(info) {
			continue
		}
		return (&xdp.Error{Kind: xdp.ErrObject, Err: err,
			Msg: fmt.Sprintf("the map pinned at %s is not like the map %q of %s", path, m.Name(), o.Called)}).
			Advise("remove the pin if nothing needs it, or choose another %v; pinned: %s; needed: %s",
				xdp.Hint{To: xdp.HintPinPath}, layoutOfInfo(info), layoutOf(m))
	}
	return nil
}

// mapLayout is what maps must have in common for one to be used for the other.
type mapLayout struct {
	typ                 libbpf.MapType
	key, value, entries int
	flags               uint32
}

// layoutOf is that of a map of an object.
func layoutOf(m *libbpf.Map) mapLayout {
	return mapLayout{m.Type(), m.KeySize(), m.ValueSize(), m.MaxEntries(), comparableFlags(m.Type(), m.Flags())}
}

// layoutOfInfo is that of a map in the kernel.
func layoutOfInfo(m *libbpf.MapInfo) mapLayout {
	return mapLayout{m.Type, m.KeySize, m.ValueSize, m.MaxEntries, comparableFlags(m.Type, m.Flags)}
}

// comparableFlags leaves out what the kernel sets by itself.
func comparableFlags(t libbpf.MapType, flags uint32) uint32 {
	if t == libbpf.MapTypeDevMap || t == libbpf.MapTypeDevMapHash {
		flags &^= libbpf.MapFlagReadOnlyProg
	}
	return flags
}

func (l mapLayout) String() string {
	text := fmt.Sprintf("%s with keys of %d bytes, values of %d bytes and %d entries", l.typ, l.key, l.value, l.entries)
	if l.flags != 0 {
		text += fmt.Sprintf(", flags %#x", l.flags)
	}
	return text
}
