// Command af_xdp receives the packets of one queue of an interface on an AF_XDP socket, beside
// the other programs of the chain, and prints how many, until Ctrl-C:
//
//	af_xdp [-queue 0] [-mode native] <ifname>
//
// What runs before it, such as a firewall, decides which packets the socket gets.
package main

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libxdp"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

//go:embed xdp_socket.o
var object []byte // of bpf/samples/xdp_socket.bpf.c

const (
	frames   = 2 * libxdp.DefaultRingSize // of the umem
	batch    = 64                         // packets that are taken at a time
	patience = 100                        // times that it asks again before it waits
)

func main() {
	queue := flag.Uint("queue", 0, "queue of the interface")
	modeName := flag.String("mode", "native", "attach mode")
	flag.Parse()
	if flag.NArg() != 1 || *queue > 1<<16 {
		fmt.Fprintln(os.Stderr, "usage: af_xdp [-queue 0] [-mode native] <ifname>")
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	mode, err := xdp.ParseMode(*modeName)
	if err == nil {
		err = run(ctx, flag.Arg(0), uint32(*queue), mode)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "af_xdp:", err)
		var e *xdp.Error
		if errors.As(err, &e) && e.Remedy != "" {
			fmt.Fprintln(os.Stderr, " ", e.Remedy)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, ifname string, queue uint32, mode xdp.Mode) error {
	area, err := unix.Mmap(-1, 0, frames*libxdp.DefaultFrameSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	defer unix.Munmap(area)
	// The fill ring has room to spare, as the kernel says late which frames it has taken.
	umem, err := libxdp.CreateUmem(area, &libxdp.UmemConfig{FillSize: 2 * frames, CompSize: libxdp.DefaultRingSize, FrameSize: libxdp.DefaultFrameSize})
	if err != nil {
		return err
	}
	defer umem.Close()
	socket, err := libxdp.CreateSocket(ifname, queue, umem, &libxdp.SocketConfig{
		Directions: libxdp.RXOnly, RXSize: libxdp.DefaultRingSize,
		LibxdpFlags: libxdp.InhibitProgLoad, BindFlags: libxdp.BindUseNeedWakeup,
	})
	if err != nil {
		return fmt.Errorf("no socket on queue %d of %q: %w", queue, ifname, err)
	}
	defer socket.Close()
	idx, _ := umem.Fill.Reserve(frames)
	for i := range uint32(frames) {
		*umem.Fill.FillAddr(idx + i) = uint64(i) * libxdp.DefaultFrameSize
	}
	umem.Fill.Submit(frames)
	wake, end, err := os.Pipe()
	if err != nil {
		return err
	}
	defer wake.Close()
	context.AfterFunc(ctx, func() { end.Close() })
	// The socket is in the map before the program sees a packet.
	number := binary.NativeEndian.AppendUint32
	attached, err := dispatcher.Attach(ctx, ifname, []xdp.Program{{
		Data: object, File: "xdp_socket.o", MapSizes: map[string]uint32{"sockets": queue + 1},
		Contents: []xdp.MapEntry{{Map: "sockets", Key: number(nil, queue), Value: number(nil, uint32(socket.FD()))}},
	}}, dispatcher.AttachOptions{Mode: mode})
	if err != nil {
		return err
	}
	fmt.Printf("receiving from queue %d of %s\n", queue, ifname)
	r := receiver{area: area, fill: umem.Fill, rx: socket.RX}
	events := []unix.PollFd{{Fd: int32(socket.FD()), Events: unix.POLLIN}, {Fd: int32(wake.Fd())}}
	for last, before, idle := time.Now(), 0, 0; err == nil && ctx.Err() == nil; {
		if r.take() > 0 {
			idle = 0
		} else if idle++; idle <= patience {
			unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) // it costs less than to be woken
		} else if _, err = unix.Poll(events, 1000); err == unix.EINTR {
			err = nil
		}
		if took := time.Since(last); took >= time.Second {
			fmt.Printf("%d packets, %.0f in a second\n", r.packets, float64(r.packets-before)/took.Seconds())
			last, before = time.Now(), r.packets
		}
	}
	// ctx is cancelled by now. Once the program is gone, what has come is still taken.
	err = errors.Join(err, dispatcher.Detach(context.Background(), ifname, attached.Programs[0].ID, dispatcher.DetachOptions{}))
	for r.take() > 0 {
	}
	fmt.Printf("%d packets, %d bytes\n", r.packets, r.bytes)
	return err
}

type receiver struct {
	area           []byte
	fill           *libxdp.ProdRing
	rx             *libxdp.ConsRing
	packets, bytes int
}

// take receives what is there, a batch at most, and gives the frames back. It calls no C.
func (r *receiver) take() (got uint32) {
	got, rx := r.rx.Peek(batch)
	if got == 0 {
		return 0
	}
	free, _ := r.fill.Reserve(got) // never refused, see the size of the ring
	for i := range got {
		desc := r.rx.RxDesc(rx + i)
		packet := libxdp.GetData(r.area, desc) // its Ethernet header and all that follows
		r.bytes += len(packet)
		*r.fill.FillAddr(free + i) = libxdp.ExtractAddr(desc.Addr)
	}
	r.rx.Release(got)
	r.fill.Submit(got)
	r.packets += int(got)
	return got
}
