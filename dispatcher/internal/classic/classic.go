// Package classic makes extended BPF of classic BPF, the filters of packet sockets. They run in the
// probes, which have a packet's bytes in the value of a map. Other translators, such as cbpfc, make
// code for pointers to packets, and a tracing program has none.
//
// A load behind the end of the packet ends the filter, which then takes the packet not, as in
// libpcap's bpf_filter.
package classic

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Window is how many bytes of a packet a filter can look at, from its beginning: the size of what
// the probes have of it (SNAP of bpf/probe/trace.h).
const Window = 4096

// Why a filter can't run in a probe.
var (
	ErrLoop     = errors.New("it jumps back")
	ErrMetadata = errors.New("it looks at what the kernel knows of a packet besides its bytes")
	ErrLong     = errors.New("it is too long")
	ErrUnknown  = errors.New("it has an unknown instruction")
)

// The registers of extended BPF. The filter is a function of the first three, and returns result.
const (
	result   = 0
	data     = 1 // address of the packet's bytes
	captured = 2 // how many there are
	length   = 3 // of the packet
	offset   = 4
	address  = 5
	regX     = 6
	regA     = 7
	frame    = 10
)

// The codes of extended BPF that classic BPF hasn't got.
const (
	alu64  = 0x07
	jump32 = 0x06
	move   = 0xb0
	less   = 0xa0
	exit   = 0x90
	swap   = 0xd0
	toBE   = 0x08
)

// words are the words of memory that a classic program has.
const words = 16

// Translate makes a function of the program. It has the arguments of filter in bpf/probe/filter.h.
func Translate(program []unix.SockFilter) ([]byte, error) {
	if err := check(program); err != nil {
		return nil, err
	}
	var t translation
	t.initialize(program)
	at := make([]int, len(program)+1) // where the code of each instruction begins
	for i, in := range program {
		at[i] = len(t.code)
		t.one(i, in)
	}
	at[len(program)] = len(t.code)
	if t.rejects { // else nothing leads here, and the verifier takes no such code
		t.emit(alu64|move, result, 0, 0, 0)
		t.emit(unix.BPF_JMP|exit, 0, 0, 0, 0)
	}
	for _, j := range t.jumps {
		distance := at[j.to] - j.from - 1
		if distance > 1<<15-1 {
			return nil, ErrLong
		}
		t.code[j.from].off = int16(distance)
	}
	return t.bytes(), nil
}

// check says whether the program is one that Translate knows.
func check(program []unix.SockFilter) error {
	if len(program) == 0 || program[len(program)-1].Code&7 != unix.BPF_RET {
		return fmt.Errorf("%w: it has no end", ErrUnknown)
	}
	if len(program) > unix.BPF_MAXINSNS {
		return ErrLong
	}
	for i, in := range program {
		left := len(program) - i - 1
		switch in.Code & 7 {
		case unix.BPF_LD, unix.BPF_LDX:
			switch mode := in.Code & 0xe0; mode {
			case unix.BPF_ABS, unix.BPF_IND, unix.BPF_MSH:
				if int32(in.K) < 0 {
					return ErrMetadata
				}
			case unix.BPF_MEM:
				if in.K >= words {
					return ErrUnknown
				}
			case unix.BPF_IMM, unix.BPF_LEN:
			default:
				return ErrUnknown
			}
		case unix.BPF_ST, unix.BPF_STX:
			if in.K >= words {
				return ErrUnknown
			}
		case unix.BPF_ALU:
			if op := in.Code & 0xf0; op > unix.BPF_XOR || in.Code&8 == 0 && in.K == 0 && (op == unix.BPF_DIV || op == unix.BPF_MOD) {
				return ErrUnknown
			}
		case unix.BPF_JMP:
			switch op := in.Code & 0xf0; {
			case op == unix.BPF_JA && int32(in.K) < 0:
				return ErrLoop
			case op == unix.BPF_JA && int(in.K) >= left, op != unix.BPF_JA && max(int(in.Jt), int(in.Jf)) >= left, op > unix.BPF_JSET:
				return ErrUnknown
			}
		}
	}
	return nil
}

// Reach is how many bytes of a packet the program can look at, at most Window. It is less where the
// program adds nothing but the length of an IPv4 header to where it looks.
func Reach(program []unix.SockFilter) int {
	const longestIPv4 = 60
	x, reach := 0, 0
	for _, in := range program {
		if class := in.Code & 7; class == unix.BPF_LDX && in.Code&0xe0 == unix.BPF_MSH {
			x = max(x, longestIPv4)
		} else if class == unix.BPF_LDX || in.Code == unix.BPF_MISC|unix.BPF_TAX {
			return Window
		}
	}
	for _, in := range program {
		at := int(min(in.K, Window)) + sizeOf(in)
		switch class, mode := in.Code&7, in.Code&0xe0; {
		case class == unix.BPF_LD && mode == unix.BPF_IND:
			reach = max(reach, at+x)
		case class == unix.BPF_LD && mode == unix.BPF_ABS, class == unix.BPF_LDX && mode == unix.BPF_MSH:
			reach = max(reach, at)
		}
	}
	return max(1, min(reach, Window))
}

// sizeOf is how many bytes a load of the packet takes.
func sizeOf(in unix.SockFilter) int {
	switch in.Code & 0x18 {
	case unix.BPF_B:
		return 1
	case unix.BPF_H:
		return 2
	}
	return 4
}

// instruction is one of extended BPF (struct bpf_insn).
type instruction struct {
	code     uint8
	dst, src uint8
	off      int16
	imm      int32
}

// jumpTo is a jump to where the code of a classic instruction begins; past the last one: to the
// end that takes nothing.
type jumpTo struct{ from, to int }

type translation struct {
	code    []instruction
	jumps   []jumpTo
	length  int // of the program
	rejects bool
}

func (t *translation) emit(code, dst, src uint8, off int16, imm int32) {
	t.code = append(t.code, instruction{code, dst, src, off, imm})
}

func (t *translation) jump(code, dst, src uint8, imm int32, to int) {
	t.jumps = append(t.jumps, jumpTo{len(t.code), to})
	t.emit(code, dst, src, 0, imm)
}

// reject ends the filter on a condition.
func (t *translation) reject(code, dst, src uint8, imm int32) {
	t.rejects = true
	t.jump(code, dst, src, imm, t.length)
}

// initialize makes the registers, and the words of memory that are used, zero.
func (t *translation) initialize(program []unix.SockFilter) {
	t.length = len(program)
	t.emit(alu64|move, regA, 0, 0, 0)
	t.emit(alu64|move, regX, 0, 0, 0)
	var used [words]bool
	for _, in := range program {
		class := in.Code & 7
		load := class == unix.BPF_LD || class == unix.BPF_LDX
		if (load && in.Code&0xe0 == unix.BPF_MEM || class == unix.BPF_ST || class == unix.BPF_STX) && !used[in.K] {
			used[in.K] = true
			t.emit(unix.BPF_ST|unix.BPF_MEM|unix.BPF_W, frame, 0, memory(in.K), 0)
		}
	}
}

// memory is where a word of memory is, seen from the end of the stack.
func memory(word uint32) int16 { return -4 * (int16(word) + 1) }

// one translates instruction i.
func (t *translation) one(i int, in unix.SockFilter) {
	to := uint8(regA)
	if class := in.Code & 7; class == unix.BPF_LDX || class == unix.BPF_STX {
		to = regX
	}
	switch in.Code & 7 {
	case unix.BPF_LD, unix.BPF_LDX:
		t.load(in, to)
	case unix.BPF_ST, unix.BPF_STX:
		t.emit(unix.BPF_STX|unix.BPF_MEM|unix.BPF_W, frame, to, memory(in.K), 0)
	case unix.BPF_ALU:
		t.calculate(in)
	case unix.BPF_JMP:
		t.branch(i, in)
	case unix.BPF_RET:
		if in.Code&0x18 == unix.BPF_A {
			t.emit(unix.BPF_ALU|move|unix.BPF_X, result, regA, 0, 0)
		} else {
			t.emit(unix.BPF_ALU|move, result, 0, 0, int32(in.K))
		}
		t.emit(unix.BPF_JMP|exit, 0, 0, 0, 0)
	case unix.BPF_MISC:
		if in.Code&0xf8 == unix.BPF_TXA {
			t.emit(unix.BPF_ALU|move|unix.BPF_X, regA, regX, 0, 0)
		} else {
			t.emit(unix.BPF_ALU|move|unix.BPF_X, regX, regA, 0, 0)
		}
	}
}

func (t *translation) load(in unix.SockFilter, to uint8) {
	size := int32(sizeOf(in))
	read := uint8(unix.BPF_LDX | unix.BPF_MEM | in.Code&0x18)
	switch in.Code & 0xe0 {
	case unix.BPF_IMM:
		t.emit(unix.BPF_ALU|move, to, 0, 0, int32(in.K))
		return
	case unix.BPF_LEN:
		t.emit(unix.BPF_ALU|move|unix.BPF_X, to, length, 0, 0)
		return
	case unix.BPF_MEM:
		t.emit(unix.BPF_LDX|unix.BPF_MEM|unix.BPF_W, to, frame, memory(in.K), 0)
		return
	case unix.BPF_IND:
		if in.K > Window {
			in.K = Window // beyond any packet that is seen
		}
		t.emit(unix.BPF_ALU|move|unix.BPF_X, offset, regX, 0, 0)
		t.emit(alu64|unix.BPF_ADD, offset, 0, 0, int32(in.K))
		t.emit(alu64|move|unix.BPF_X, address, offset, 0, 0)
		t.emit(alu64|unix.BPF_ADD, address, 0, 0, size)
		t.reject(unix.BPF_JMP|unix.BPF_JGT|unix.BPF_X, address, captured, 0)
		// So it is less already, but the verifier can't know.
		t.reject(unix.BPF_JMP|unix.BPF_JGT, offset, 0, Window-size)
		t.emit(alu64|move|unix.BPF_X, address, data, 0, 0)
		t.emit(alu64|unix.BPF_ADD|unix.BPF_X, address, offset, 0, 0)
		t.emit(read, to, address, 0, 0)
	default: // BPF_ABS, BPF_MSH
		at := int32(min(in.K, Window)) // beyond any packet that is seen
		t.reject(unix.BPF_JMP|less, captured, 0, at+size)
		t.emit(read, to, data, int16(min(at, Window-size)), 0)
	}
	if in.Code&0xe0 == unix.BPF_MSH {
		t.emit(unix.BPF_ALU|unix.BPF_AND, to, 0, 0, 0xf)
		t.emit(unix.BPF_ALU|unix.BPF_LSH, to, 0, 0, 2)
	} else if size > 1 {
		t.emit(unix.BPF_ALU|swap|toBE, to, 0, 0, 8*size)
	}
}

func (t *translation) calculate(in unix.SockFilter) {
	op, byX := uint8(in.Code&0xf0), in.Code&8 != 0
	shift := op == unix.BPF_LSH || op == unix.BPF_RSH
	switch {
	case !byX && shift && in.K > 31:
		t.emit(unix.BPF_ALU|move, regA, 0, 0, 0)
	case op == unix.BPF_NEG:
		t.emit(unix.BPF_ALU|op, regA, 0, 0, 0)
	case !byX:
		t.emit(unix.BPF_ALU|op, regA, 0, 0, int32(in.K))
	case shift:
		// Extended BPF shifts by the lowest five bits.
		t.emit(jump32|less, regX, 0, 2, 32)
		t.emit(unix.BPF_ALU|move, regA, 0, 0, 0)
		t.emit(unix.BPF_JMP|unix.BPF_JA, 0, 0, 1, 0)
		t.emit(unix.BPF_ALU|op|unix.BPF_X, regA, regX, 0, 0)
	default:
		if op == unix.BPF_DIV || op == unix.BPF_MOD {
			t.reject(jump32|unix.BPF_JEQ, regX, 0, 0)
		}
		t.emit(unix.BPF_ALU|op|unix.BPF_X, regA, regX, 0, 0)
	}
}

func (t *translation) branch(i int, in unix.SockFilter) {
	if in.Code&0xf0 == unix.BPF_JA {
		t.jump(unix.BPF_JMP|unix.BPF_JA, 0, 0, 0, i+1+int(in.K))
		return
	}
	if in.Jt == 0 && in.Jf == 0 {
		return
	}
	with, value := uint8(0), int32(in.K)
	if in.Code&8 != 0 {
		with, value = regX, 0
	}
	t.jump(uint8(jump32|in.Code&0xf8), regA, with, value, i+1+int(in.Jt))
	if in.Jf != 0 {
		t.jump(unix.BPF_JMP|unix.BPF_JA, 0, 0, 0, i+1+int(in.Jf))
	}
}

func (t *translation) bytes() []byte {
	little := binary.NativeEndian.Uint16([]byte{1, 0}) == 1
	var b []byte
	for _, in := range t.code {
		registers := in.dst | in.src<<4
		if !little {
			registers = in.dst<<4 | in.src
		}
		b = append(b, in.code, registers)
		b = binary.NativeEndian.AppendUint16(b, uint16(in.off))
		b = binary.NativeEndian.AppendUint32(b, uint32(in.imm))
	}
	return b
}
