package classic_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/cgo/libpcap"
	"github.com/xdpmux/xdpmux/dispatcher/filter"
	"github.com/xdpmux/xdpmux/dispatcher/internal/classic"
	"github.com/xdpmux/xdpmux/dispatcher/internal/objectfile"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/filters"
	"github.com/xdpmux/xdpmux/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// inKernel holds what a program takes in the kernel to what libpcap says that it takes.
func inKernel(t *testing.T, name string, program []unix.SockFilter, frames [][]byte) {
	t.Helper()
	data, err := os.ReadFile("../../../build/bpf/fixtures/filtered.o")
	if err != nil {
		t.Fatal(err)
	}
	file, err := objectfile.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	code, err := classic.Translate(program)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if data, err = file.WithFunction("filter", code); err != nil {
		t.Fatal(err)
	}
	obj, err := libbpf.OpenMem(data, libbpf.OpenOptions{Name: "filtered", LogSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer obj.Close()
	if err := obj.Load(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, err.(*libbpf.Error).Log)
	}
	reach := classic.Reach(program)
	for i, frame := range frames {
		r, err := libbpf.TestRun(obj.Programs()[0].FD(), libbpf.TestRunOptions{Data: frame})
		if err != nil {
			t.Fatalf("%s: packet %d: %v", name, i, err)
		}
		want := xdp.Drop
		if libpcap.Match(program, frame, len(frame)) {
			want = xdp.Pass
		}
		if xdp.Verdict(r.Return) != want {
			t.Errorf("%s: packet %d: %v, want %v", name, i, xdp.Verdict(r.Return), want)
		}
		if seen := frame[:min(reach, len(frame))]; libpcap.Match(program, seen, len(frame)) != (want == xdp.Pass) {
			t.Errorf("%s: packet %d: %d bytes of it are not enough", name, i, reach)
		}
	}
}

// The kernel takes the packets that tcpdump does, and needs no more of a packet than Reach says.
func TestKernel(t *testing.T) {
	frames := filters.Packets()
	for _, words := range filters.All(t) {
		f, err := filter.Compile(words)
		if err != nil {
			t.Fatal(err)
		}
		inKernel(t, words, f.Program(), frames)
	}
}

// So it is for programs that no filter of tcpdump's language becomes.
func TestKernelRandom(t *testing.T) {
	frames := filters.Packets()
	r := rand.New(rand.NewPCG(3, 4))
	for n := range harness.Scaled(1000, 60) {
		inKernel(t, fmt.Sprintf("random program %d", n), randomProgram(r), frames[n%7:min(len(frames), n%7+40)])
	}
}

func randomProgram(r *rand.Rand) (program []unix.SockFilter) {
	one := func(of ...uint16) uint16 { return of[r.IntN(len(of))] }
	const size = 30
	for word := range uint32(4) { // libpcap doesn't make them zero
		program = append(program, unix.SockFilter{Code: unix.BPF_ST, K: word})
	}
	for i := range size {
		in := unix.SockFilter{K: uint32(r.IntN(40))}
		switch r.IntN(12) {
		case 0, 1:
			in.Code = unix.BPF_LD | one(unix.BPF_ABS, unix.BPF_IND) | one(unix.BPF_B, unix.BPF_H, unix.BPF_W)
		case 2:
			in.Code = one(unix.BPF_LD|unix.BPF_LEN, unix.BPF_LDX|unix.BPF_LEN, unix.BPF_LD|unix.BPF_IMM, unix.BPF_LDX|unix.BPF_IMM)
		case 3:
			in.Code = unix.BPF_LDX | unix.BPF_MSH | unix.BPF_B
		case 4:
			in.Code = one(unix.BPF_LD, unix.BPF_LDX) | unix.BPF_MEM
			in.K %= 4
		case 5:
			in.Code = one(unix.BPF_ST, unix.BPF_STX)
			in.K %= 4
		case 6:
			in.Code = unix.BPF_MISC | one(unix.BPF_TAX, unix.BPF_TXA)
		case 7, 8, 9:
			in.Code = unix.BPF_ALU | one(unix.BPF_X, unix.BPF_K) | one(unix.BPF_ADD, unix.BPF_SUB, unix.BPF_MUL, unix.BPF_DIV,
				unix.BPF_MOD, unix.BPF_AND, unix.BPF_OR, unix.BPF_XOR, unix.BPF_LSH, unix.BPF_RSH)
			in.K = 1 + in.K%31 // libpcap shifts by less than 32 only
			if r.IntN(11) == 0 {
				in.Code = unix.BPF_ALU | unix.BPF_NEG
			}
		default:
			in.Code = unix.BPF_JMP | one(unix.BPF_X, unix.BPF_K) | one(unix.BPF_JEQ, unix.BPF_JGT, unix.BPF_JGE, unix.BPF_JSET)
			in.Jt, in.Jf = uint8(r.IntN(min(3, size-i))), 0
		}
		program = append(program, in)
	}
	return append(program, unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND, K: 1}, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_A})
}
