package libbpf_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"net"
	"syscall"
	"time"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// A program is loaded and put on an interface, and its counter is read. It leaves the
// interface when the link is closed.
func Example() {
	eth0, err := net.InterfaceByName("eth0")
	if err != nil {
		log.Fatal(err)
	}
	object, err := libbpf.OpenFile("xdp_count.o", libbpf.OpenOptions{LogSize: 1 << 20})
	if err != nil {
		log.Fatal(err)
	}
	defer object.Close()
	if err := object.Load(); err != nil {
		var e *libbpf.Error
		if errors.As(err, &e) {
			log.Print(e.Log) // what the verifier said
		}
		log.Fatal(err)
	}
	link, err := libbpf.LinkCreate(object.FindProgram("xdp_count").FD(), eth0.Index, libbpf.AttachXDP, uint32(libbpf.XDPNative), 0)
	if err != nil {
		log.Fatal(err)
	}
	defer link.Close()
	time.Sleep(time.Second)

	// The map is of type percpu_array: each CPU has a value of its own.
	cpus, err := libbpf.NumPossibleCPUs()
	if err != nil {
		log.Fatal(err)
	}
	key, values := make([]byte, 4), make([]byte, 8*cpus)
	if err := libbpf.MapLookup(object.FindMap("packets").FD(), key, values); err != nil {
		log.Fatal(err)
	}
	packets := uint64(0)
	for i := range cpus {
		packets += binary.NativeEndian.Uint64(values[8*i:])
	}
	fmt.Println(packets, "packets")
}

// All programs of the machine are listed.
func ExampleNextProgID() {
	for id := uint32(0); ; {
		next, err := libbpf.NextProgID(id)
		if errors.Is(err, syscall.ENOENT) {
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		id = next
		fd, err := libbpf.ProgByID(id)
		if errors.Is(err, syscall.ENOENT) {
			continue // it has gone meanwhile
		}
		if err != nil {
			log.Fatal(err)
		}
		info, err := libbpf.ProgInfoByFD(fd.Int())
		fd.Close()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(info.ID, info.Type, info.Name, info.Tag)
	}
}

// The keys and values of a hash are read in batches. Its values are not kept per CPU.
func ExampleMapLookupBatch() {
	fd, err := libbpf.ObjGet("/sys/fs/bpf/flows")
	if err != nil {
		log.Fatal(err)
	}
	defer fd.Close()
	info, err := libbpf.MapInfoByFD(fd.Int())
	if err != nil {
		log.Fatal(err)
	}
	const count = 1024
	keys, values := make([]byte, count*info.KeySize), make([]byte, count*info.ValueSize)
	var place []byte // nil: the start
	for {
		next := make([]byte, max(4, info.KeySize))
		n, err := libbpf.MapLookupBatch(fd.Int(), place, next, keys, values, count)
		last := errors.Is(err, syscall.ENOENT)
		if err != nil && !last {
			log.Fatal(err)
		}
		for i := range n {
			fmt.Printf("%x: %x\n", keys[i*info.KeySize:][:info.KeySize], values[i*info.ValueSize:][:info.ValueSize])
		}
		if last {
			return
		}
		place = next
	}
}

// Records are read as a program writes them.
func ExampleNewRingBuffer() {
	events, err := libbpf.ObjGet("/sys/fs/bpf/events")
	if err != nil {
		log.Fatal(err)
	}
	defer events.Close()
	ring, err := libbpf.NewRingBuffer(events.Int(), func(record []byte) {
		fmt.Printf("% x\n", record)
	})
	if err != nil {
		log.Fatal(err)
	}
	defer ring.Close()
	for {
		if _, err := ring.Poll(-1 * time.Millisecond); err != nil && !errors.Is(err, syscall.EINTR) {
			log.Fatal(err)
		}
	}
}
