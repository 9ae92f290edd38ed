package loaded

import (
	"encoding/binary"
	"errors"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// Called are the ids of the programs in a program array (BPF_MAP_TYPE_PROG_ARRAY), by their slots.
func Called(array *libbpf.FD) (map[uint32]uint32, error) {
	info, err := libbpf.MapInfoByFD(array.Int())
	if err != nil {
		return nil, err
	}
	all := map[uint32]uint32{}
	for slot := range uint32(info.MaxEntries) {
		value := make([]byte, 4)
		err := libbpf.MapLookup(array.Int(), binary.NativeEndian.AppendUint32(nil, slot), value)
		if errors.Is(err, syscall.ENOENT) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all[slot] = binary.NativeEndian.Uint32(value)
	}
	return all, nil
}
