package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

const (
	// waitedFor is how many XDP programs the kernel calls directly (BPF_DISPATCHER_MAX). It waits
	// for packets when one of these comes or goes.
	waitedFor = 48
	bareMany  = 200 // interfaces
)

// kernelAlone measures what of a change of many interfaces is the kernel's own: a bare program of
// its own is put on each interface, and taken off.
func kernelAlone(ctx context.Context, w io.Writer) error {
	progress("bare programs on %d interfaces", bareMany)
	var on, off [2]time.Duration // of the first interfaces, and of the others
	var indices, fds []int
	for i := range bareMany {
		name := fmt.Sprintf("k%d", i)
		if err := addPair(ctx, name); err != nil {
			return err
		}
		iface, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		prog, err := bareProgram()
		if err != nil {
			return err
		}
		defer prog.Close()
		indices, fds = append(indices, iface.Index), append(fds, prog.Int())
	}
	each := func(took *[2]time.Duration, attach func(i int) error) error {
		for i := range indices {
			begun := time.Now()
			if err := attach(i); err != nil {
				return err
			}
			took[min(i/waitedFor, 1)] += time.Since(begun)
		}
		return nil
	}
	if err := each(&on, func(i int) error {
		return libbpf.XDPAttach(indices[i], fds[i], libbpf.XDPNative|libbpf.XDPUpdateIfNoExist, -1)
	}); err != nil {
		return err
	}
	if err := each(&off, func(i int) error {
		return libbpf.XDPAttach(indices[i], -1, libbpf.XDPNative|libbpf.XDPReplace, fds[i])
	}); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n## The kernel's share of many interfaces\n\n"+
		"The kernel calls the first %d XDP programs of a machine directly. Whenever one of these comes or goes, it waits for\n"+
		"packets (`bpf_dispatcher_change_prog`), and holds the lock of all interfaces meanwhile. So changes of several interfaces\n"+
		"can't wait together. Here a bare program was put on each of %d interfaces, and taken off, and nothing else was done.\n\n"+
		"| interfaces | put on | taken off |\n|---|---:|---:|\n"+
		"| the first %d | %s | %s |\n| the other %d | %s | %s |\n",
		waitedFor, bareMany, waitedFor, ms(on[0]), ms(off[0]), bareMany-waitedFor, ms(on[1]), ms(off[1]))
	return nil
}
