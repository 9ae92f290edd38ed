package transaction

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libxdp"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// socketEnv names the interface on which a process of this test binary receives, instead of
// running tests.
const socketEnv = "XDPMUX_TEST_SOCKET"

// socketRoom is how many packets such a process can receive.
const socketRoom = 1 << 15

// receiveBySocket receives on an AF_XDP socket as any program does that libxdp makes one for:
// libxdp adds a program of its own to the chain, and takes it out again when the socket is
// closed, at SIGTERM.
func receiveBySocket(ifname string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	const frameSize = libxdp.DefaultFrameSize / 2
	area, err := unix.Mmap(-1, 0, socketRoom*frameSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	umem, err := libxdp.CreateUmem(area, &libxdp.UmemConfig{FillSize: socketRoom, CompSize: 1, FrameSize: frameSize})
	if err != nil {
		return err
	}
	socket, err := libxdp.CreateSocket(ifname, 0, umem, &libxdp.SocketConfig{Directions: libxdp.RXOnly, RXSize: socketRoom, BindFlags: libxdp.BindCopy})
	if err != nil {
		return err
	}
	idx, _ := umem.Fill.Reserve(socketRoom)
	for i := range uint32(socketRoom) {
		*umem.Fill.FillAddr(idx + i) = uint64(i) * frameSize
	}
	umem.Fill.Submit(socketRoom)
	fmt.Println("receiving")
	<-ctx.Done()
	fmt.Println(socket.RX.Available(socketRoom))
	return errors.Join(socket.Close(), umem.Close())
}

// startSocket starts such a process, and returns when it receives.
func startSocket(t *testing.T, ifname string) *harness.Process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), socketEnv+"="+ifname)
	p := harness.StartCmd(t, cmd)
	if line := p.Stdout.Line(t); line != "receiving" {
		t.Fatalf("%s\n%s", line, p.Stderr)
	}
	return p
}

// endSocket ends it, and returns how many packets it has received.
func endSocket(t *testing.T, p *harness.Process) (packets int) {
	t.Helper()
	p.Stop(t, syscall.SIGTERM)
	if _, err := fmt.Sscanf(p.Stdout.String(), "receiving\n%d", &packets); err != nil {
		t.Fatalf("%v\n%s%s", err, p.Stdout, p.Stderr)
	}
	return packets
}

// socketProgram is libxdp's own.
const socketProgram = "xsk_def_prog"

// beside are programs for a chain in which a socket's is too: one that counts before it, others
// around it, and one that counts behind it.
func beside(n int) (programs []xdp.Program) {
	for i := range n {
		p := fixture("verdicts", "v_pass")
		p.Priority = prio(uint32(10 + 5*i))
		switch i {
		case 0:
			p = fixture("flood", "front")
			p.Priority = prio(5)
		case xdp.MaxPrograms - 2:
			p = fixture("flood", "behind")
			p.Priority = prio(99)
		}
		programs = append(programs, p)
	}
	return programs
}

// TestSocket has a socket of libxdp's in a chain of one, two and ten programs, and changes the
// rest of the chain while packets come. Each of them is counted by the program before the
// socket's, and received. The socket's end leaves the rest of the chain as it is.
func TestSocket(t *testing.T) {
	for _, c := range []struct {
		first string
		total int
	}{{"socket", 1}, {"socket", 2}, {"chain", 2}, {"socket", xdp.MaxPrograms}, {"chain", xdp.MaxPrograms}} {
		t.Run(fmt.Sprintf("%s first of %d", c.first, c.total), func(t *testing.T) {
			harness.NoLeak(t)
			harness.FillShortcut(t)
			v := harness.NewVeth(t)
			var socket *harness.Process
			if c.first == "socket" {
				socket = startSocket(t, v.Name)
			}
			if programs := beside(c.total - 1); programs != nil {
				commit(t, v.Name, dispatcher.Transaction{Add: programs})
			}
			if socket == nil {
				socket = startSocket(t, v.Name)
			}
			chain := status(t, v.Name)
			if len(chain.Programs) != c.total || chain.Programs[0].Name != "front" && c.total > 1 {
				t.Fatalf("chain: %q", names(chain))
			}
			if p, err := chain.Find(socketProgram); err != nil || p.Priority != 20 {
				t.Fatalf("the socket's program: %+v, %v", p, err)
			}

			changed := make(chan error, 1)
			chance := harness.Chance(t)
			go func() { changed <- changeBeside(t.Context(), v.Name, chance, harness.Scaled(200, 4)) }()
			frames := slices.Repeat([][]byte{padded(frame(plain))}, 8)
			sent := 0
			for changing := true; changing; {
				select {
				case err := <-changed:
					if err != nil {
						t.Fatal(err)
					}
					changing = false
				default:
				}
				if passed := v.Deliver(t, frames...); len(passed) > 0 {
					t.Fatalf("%d packets got past the socket", len(passed))
				}
				sent += len(frames)
			}
			t.Logf("%d packets", sent)

			chain = status(t, v.Name)
			for _, p := range chain.Programs {
				if counted := harness.Counters; p.Name == "front" && counted(t, p.ID)[0] != uint64(sent) || p.Name == "behind" && counted(t, p.ID)[0] != 0 {
					t.Errorf("%s has counted %d of %d packets", p.Name, counted(t, p.ID)[0], sent)
				}
			}
			if got := endSocket(t, socket); got != sent {
				t.Errorf("the socket received %d of %d packets", got, sent)
			}
			rest := slices.DeleteFunc(chain.Programs, func(p dispatcher.Component) bool { return p.Name == socketProgram })
			if got := status(t, v.Name).Programs; !slices.Equal(got, rest) {
				t.Errorf("without the socket: %+v\nwant: %+v", got, rest)
			}
			bothShow(t, v.Name)
			if len(rest) == 0 {
				harness.MustRun(t, harness.Xdpmux(), "clean") // the socket's library doesn't know our own pins
			}
			checkPins(t, v)
			if passed := v.Deliver(t, frames...); len(passed) != len(frames) {
				t.Errorf("%d of %d packets pass without the socket", len(passed), len(frames))
			}
			if len(rest) > 0 {
				unload(t, v.Name)
			}
		})
	}
}

// changeBeside makes changes to a chain with a socket's program, each in one swap: programs come
// and go, one takes another's place, and places change, that of the socket's program too.
func changeBeside(ctx context.Context, ifname string, chance *rand.Rand, changes int) error {
	for range changes {
		chain, err := dispatcher.Status(ctx, ifname)
		if err != nil {
			return err
		}
		var others []uint32
		tx := dispatcher.Transaction{Mode: xdp.ModeUnspecified}
		comes := fixture("verdicts", "v_pass")
		comes.Priority = prio(6 + chance.Uint32N(90))
		for _, p := range chain.Programs {
			switch p.Name {
			case "front":
				if chance.IntN(2) == 0 {
					tx.Replace = []dispatcher.Replacement{{ID: p.ID, Program: fixture("flood", "front"), KeepMaps: true}}
				}
			case socketProgram:
				tx.Set = []dispatcher.Setting{{ID: p.ID, Priority: prio(6 + chance.Uint32N(90))}}
			case "v_pass":
				others = append(others, p.ID)
			}
		}
		switch n := chance.IntN(4); {
		case len(others) == 0 || n == 0 && len(chain.Programs) < xdp.MaxPrograms:
			tx.Add = []xdp.Program{comes}
		case n == 1:
			tx.Remove = others[:1]
		case n == 2:
			tx.Remove, tx.Add = others[:1], []xdp.Program{comes}
		default:
			tx.Replace = append(tx.Replace, dispatcher.Replacement{ID: others[0], Program: comes})
		}
		if done, err := tx.Commit(ctx, ifname); err != nil || !done.Changed {
			return fmt.Errorf("%+v: %+v, %w", tx, done, err)
		}
	}
	return nil
}

// TestSocketKilled: nobody takes libxdp's program out of the chain then. It passes what comes,
// the next socket uses it, and any tool can unload it.
func TestSocketKilled(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	commit(t, v.Name, dispatcher.Transaction{Add: beside(1)})
	socket := startSocket(t, v.Name)
	socket.Signal(t, syscall.SIGKILL)
	<-socket.Ended()
	frames := slices.Repeat([][]byte{padded(frame(plain))}, 8)
	var passed int
	if !harness.Eventually(func() bool { // the kernel lets go of the socket a while later
		passed = len(v.Deliver(t, frames...))
		return passed == len(frames)
	}) {
		t.Errorf("%d of %d packets pass the program without a socket", passed, len(frames))
	}
	socket = startSocket(t, v.Name)
	if got := strings.Join(names(status(t, v.Name)), " "); got != "front "+socketProgram {
		t.Errorf("chain: %s", got)
	}
	v.Deliver(t, frames...)
	if got := endSocket(t, socket); got != len(frames) {
		t.Errorf("the next socket received %d of %d packets", got, len(frames))
	}
	// libxdp counts the socket that was killed still.
	left := find(t, status(t, v.Name), socketProgram)
	harness.MustRun(t, harness.Xdpmux(), "unload", v.Name, "-i", fmt.Sprint(left))
	if got := strings.Join(names(status(t, v.Name)), " "); got != "front" {
		t.Errorf("chain: %s", got)
	}
	unload(t, v.Name)
}

// TestSocketLeavesProgram makes chains that the libxdp of a socket can't change, while the socket
// receives: of a newer version, and with a program that changes packet data. The socket goes on
// receiving. At its end libxdp leaves its program there, which passes all packets.
func TestSocketLeavesProgram(t *testing.T) {
	for _, c := range []struct{ name, since, args string }{
		{"newer version", "5.10", "upgrade IF --to 3"},
		{"packet data", "6.12", "load IF " + harness.Fixture("movehead")},
	} {
		if harness.KernelBefore(t, c.since) {
			continue // any chain may have such a program
		}
		t.Run(c.name, func(t *testing.T) {
			harness.NoLeak(t)
			v := harness.NewVeth(t)
			commit(t, v.Name, dispatcher.Transaction{Add: beside(1), Version: 2})
			socket := startSocket(t, v.Name)
			frames := slices.Repeat([][]byte{padded(frame(plain))}, 8)
			v.Deliver(t, frames...)
			harness.MustRun(t, harness.Xdpmux(), strings.Fields(strings.Replace(c.args, "IF", v.Name, 1))...)
			if passed := v.Deliver(t, frames...); len(passed) != 0 {
				t.Errorf("%d packets got past the socket", len(passed))
			}
			chain := status(t, v.Name)
			if got := endSocket(t, socket); got != 2*len(frames) {
				t.Errorf("the socket received %d of %d packets", got, 2*len(frames))
			}
			if got := status(t, v.Name); !slices.Equal(got.Programs, chain.Programs) {
				t.Errorf("after the end: %+v\nwant: %+v", got.Programs, chain.Programs)
			}
			if passed := v.Deliver(t, frames...); len(passed) != len(frames) {
				t.Errorf("%d of %d packets pass without the socket", len(passed), len(frames))
			}
			harness.MustRun(t, harness.Xdpmux(), "unload", v.Name, "-i", fmt.Sprint(find(t, chain, socketProgram)))
			checkPins(t, v)
			unload(t, v.Name)
		})
	}
}

// TestSocketOfNewerLibxdp has xdp-bench receive, whose libxdp writes chains of version 3.
func TestSocketOfNewerLibxdp(t *testing.T) {
	for _, first := range []string{"socket", "chain"} {
		t.Run(first+" first", func(t *testing.T) {
			harness.NoLeak(t)
			v := harness.NewVeth(t)
			if first == "chain" {
				commit(t, v.Name, dispatcher.Transaction{Add: beside(9), Version: 3})
			}
			harness.NativeLoader(t, "sid") // or there is no such xdp-bench
			bench := harness.Start(t, "xdp-bench-sid", "xsk-drop", "--quiet", "--copy-mode", "copy", v.Name)
			if !harness.Eventually(func() bool {
				_, err := status(t, v.Name).Find(socketProgram)
				return err == nil
			}) {
				t.Fatalf("it has no program in the chain\n%s%s", bench.Stdout, bench.Stderr)
			}
			if first == "socket" {
				commit(t, v.Name, dispatcher.Transaction{Add: beside(9)})
			}
			if err := changeBeside(t.Context(), v.Name, harness.Chance(t), 5); err != nil {
				t.Fatal(err)
			}
			frames := slices.Repeat([][]byte{padded(frame(plain))}, 8)
			if passed := v.Deliver(t, frames...); len(passed) != 0 {
				t.Errorf("%d packets got past the socket", len(passed))
			}
			chain := status(t, v.Name)
			if got := harness.Counters(t, find(t, chain, "front"))[0]; got != uint64(len(frames)) {
				t.Errorf("%d of %d packets were counted before the socket", got, len(frames))
			}
			bench.Stop(t, syscall.SIGINT)
			rest := slices.DeleteFunc(chain.Programs, func(p dispatcher.Component) bool { return p.Name == socketProgram })
			if got := status(t, v.Name); !slices.Equal(got.Programs, rest) || got.Version != 3 {
				t.Errorf("without the socket: %+v\nwant: %+v", got, rest)
			}
			checkPins(t, v)
			unload(t, v.Name)
		})
	}
}
