package protocol

import (
	"encoding/binary"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// HasFrags finds out whether a loaded program has frags support, which the kernel shows of no
// program. But it lets a program array have programs of one sort only. So one array is made, for
// that program and one of ours. known is false where the kernel lets no array have the program, as
// one that is bound to a device, or where ours can't be loaded.
func HasFrags(fd int) (has, known bool) {
	// The attach type that the program was loaded with, which isn't shown either, makes a sort too.
	for _, flags := range []uint32{0, libbpf.FlagXDPHasFrags} {
		for _, attach := range []libbpf.AttachType{libbpf.AttachXDP, 0} {
			if shareArray(fd, flags, attach) {
				return flags != 0, true
			}
		}
	}
	return false, false
}

// shareArray says whether one array can have the program and one of ours, loaded like this.
func shareArray(fd int, flags uint32, attach libbpf.AttachType) bool {
	prog, obj, err := openOwn(withoutLibxdp, ownObject, passProgram)
	if err != nil {
		return false
	}
	defer obj.Close()
	if prog.SetFlags(flags) != nil || prog.SetExpectedAttachType(attach) != nil || obj.Load() != nil {
		return false
	}
	array, err := libbpf.CreateMap(libbpf.MapTypeProgArray, "xdpmux_frags", 4, 4, 2, 0)
	if err != nil {
		return false
	}
	defer array.Close()
	for i, of := range []int{prog.FD(), fd} {
		key, value := binary.NativeEndian.AppendUint32(nil, uint32(i)), binary.NativeEndian.AppendUint32(nil, uint32(of))
		if libbpf.MapUpdate(array.Int(), key, value, libbpf.UpdateAny) != nil {
			return false
		}
	}
	return true
}
