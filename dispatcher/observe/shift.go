package observe

import (
	"slices"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
)

// The instructions that shift by a register (linux/bpf.h): BPF_LSH and BPF_RSH with
// BPF_X, of 64 and of 32 bits.
const (
	shiftLeft64, shiftRight64 = 0x6f, 0x7f
	shiftLeft32, shiftRight32 = 0x6c, 0x7c
)

// shiftOf says how many bits of a verdict a dispatcher looks at. Its source has 1 << verdict.
// Compilers have made shifts of 64 bits of that (libxdp's own, and ours), and of 32 bits. A
// processor takes the lowest 6 or 5 bits of the number.
func shiftOf(c *dispatcher.Chain) uint {
	fd, err := c.Open(c.Dispatcher.ID)
	if err != nil {
		return oddBits
	}
	defer fd.Close()
	insns, err := libbpf.ProgInsns(fd.Int())
	if err != nil {
		return oddBits
	}
	return shiftIn(insns)
}

func shiftIn(insns []byte) uint {
	for insn := range slices.Chunk(insns, 8) {
		switch insn[0] {
		case shiftLeft64, shiftRight64:
			return 6
		case shiftLeft32, shiftRight32:
			return 5
		}
	}
	return oddBits
}
