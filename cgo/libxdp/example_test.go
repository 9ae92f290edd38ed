package libxdp_test

import (
	"fmt"
	"log"
	"net"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libxdp"
)

// Two programs join the chain of an interface, in the order of their priorities.
func Example() {
	eth0, err := net.InterfaceByName("eth0")
	if err != nil {
		log.Fatal(err)
	}
	var programs []*libxdp.Program
	for priority, file := range []string{"filter.o", "count.o"} {
		p, err := libxdp.OpenFile(file, "", "")
		if err != nil {
			log.Fatal(err)
		}
		defer p.Close()
		if err := p.SetRunPrio(uint32(10 + priority)); err != nil {
			log.Fatal(err)
		}
		programs = append(programs, p)
	}
	if err := libxdp.AttachMulti(programs, eth0.Index, libxdp.ModeNative, 0); err != nil {
		log.Fatal(err)
	}
}

// A chain is read, and each of its programs shown.
func ExampleGetMultiprog() {
	chain, err := libxdp.GetMultiprog(2)
	if err != nil {
		log.Fatal(err)
	}
	defer chain.Close()
	for _, p := range chain.Programs() {
		actions, err := p.ChainCallActions()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(p.ID(), p.Name(), p.RunPrio(), actions)
	}
}

// A socket receives what its program lets come, and gives the frames back.
func ExampleCreateSocket() {
	const frames = libxdp.DefaultRingSize
	area, err := unix.Mmap(-1, 0, frames*libxdp.DefaultFrameSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		log.Fatal(err)
	}
	defer unix.Munmap(area)
	umem, err := libxdp.CreateUmem(area, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer umem.Close()
	socket, err := libxdp.CreateSocket("eth0", 0, umem, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer socket.Close()

	if idx, ok := umem.Fill.Reserve(frames); ok {
		for i := range uint32(frames) {
			*umem.Fill.FillAddr(idx + i) = uint64(i) * libxdp.DefaultFrameSize
		}
		umem.Fill.Submit(frames)
	}
	for {
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(socket.FD()), Events: unix.POLLIN}}, -1); err != nil {
			log.Fatal(err)
		}
		got, rx := socket.RX.Peek(64)
		free, ok := umem.Fill.Reserve(got)
		for i := range got {
			desc := socket.RX.RxDesc(rx + i)
			fmt.Printf("%d bytes: % x\n", desc.Len, libxdp.GetData(area, desc)[:14])
			if ok {
				*umem.Fill.FillAddr(free + i) = libxdp.ExtractAddr(desc.Addr)
			}
		}
		if ok {
			umem.Fill.Submit(got)
		}
		socket.RX.Release(got)
	}
}
