package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

const (
	// waitedFor is how many XDP programs the kernel calls directly (BPF_DISPATCHER_MAX). It waits
	// for packets when one of these comes or goes.
	waitedFor = 48
	bareMany  = 200 // interfaces
)

// expedited is the kernel's setting by which it interrupts the processors, instead of waiting until
// each has come by.
const expedited = "/sys/kernel/rcu_expedited"

// kernelAlone measures what of a change of many interfaces is the kernel's own: a bare program of
// its own is put on each interface, and taken off.
func kernelAlone(ctx context.Context, w io.Writer) (err error) {
	progress("bare programs on %d interfaces", bareMany)
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
	on, off, err := putOnAndOff(indices, fds)
	if err != nil {
		return err
	}
	before, err := os.ReadFile(expedited)
	if err != nil {
		return err
	}
	if err := os.WriteFile(expedited, []byte("1"), 0); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.WriteFile(expedited, before, 0)) }()
	fastOn, fastOff, err := putOnAndOff(indices, fds)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\n## The kernel's share of many interfaces\n\n"+
		"The kernel calls the first %d XDP programs of a machine directly. Whenever one of these comes or goes, it waits for\n"+
		"packets (`bpf_dispatcher_change_prog`), and holds the lock of all interfaces meanwhile. So changes of several interfaces\n"+
		"can't wait together. Here a bare program was put on each of %d interfaces, and taken off, and nothing else was done.\n\n"+
		"| interfaces | put on | taken off | put on, rcu_expedited | taken off, rcu_expedited |\n|---|---:|---:|---:|---:|\n"+
		"| the first %d | %s | %s | %s | %s |\n| the other %d | %s | %s | %s | %s |\n\n"+
		"Where interfaces come and go all the time, the waits can be made short: with `rcupdate.rcu_expedited=1` among the\n"+
		"kernel's parameters, or while the machine runs:\n\n"+
		"```sh\necho 1 > %s\n```\n\n"+
		"All of the kernel's waits of this kind are short then, and each interrupts all processors that aren't idle. So xdpmux\n"+
		"leaves this to whoever runs the machine.\n",
		waitedFor, bareMany,
		waitedFor, ms(on[0]), ms(off[0]), ms(fastOn[0]), ms(fastOff[0]),
		bareMany-waitedFor, ms(on[1]), ms(off[1]), ms(fastOn[1]), ms(fastOff[1]), expedited)
	return nil
}

// putOnAndOff puts a program on each interface, and takes them off. Both times are those of the first
// interfaces, and of the others.
func putOnAndOff(indices, fds []int) (on, off [2]time.Duration, err error) {
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
		return on, off, err
	}
	err = each(&off, func(i int) error {
		return libbpf.XDPAttach(indices[i], -1, libbpf.XDPNative|libbpf.XDPReplace, fds[i])
	})
	return on, off, err
}
