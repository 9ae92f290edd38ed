// Command watch puts programs on an interface, tells the way of each packet through the
// chain until Ctrl-C, and then how many packets each program has seen. It is a start for a
// program that looks at chains:
//
//	watch <ifname> build/bpf/xdp_drop_ipv6.o build/bpf/xdp_count.o
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: watch <ifname> <file>...")
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "watch:", err)
		var e *xdp.Error
		if errors.As(err, &e) && e.Remedy != "" {
			fmt.Fprintln(os.Stderr, " ", e.Remedy)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, ifname string, files []string) (err error) {
	var programs []xdp.Program
	for _, file := range files {
		programs = append(programs, xdp.Program{File: file})
	}
	attached, err := dispatcher.Attach(ctx, ifname, programs, dispatcher.AttachOptions{RequireDispatcher: true})
	if err != nil {
		return err
	}
	// ctx is cancelled by then.
	defer func() {
		for _, p := range attached.Programs {
			err = errors.Join(err, dispatcher.Detach(context.Background(), ifname, p.ID, dispatcher.DetachOptions{}))
		}
	}()

	observer, err := observe.Open(ctx, []string{ifname}, observe.Options{})
	if err != nil {
		return err
	}
	defer observer.Close()
	packets, err := observe.OpenLive(ctx, []string{ifname}, observe.LiveOptions{})
	if err != nil {
		return err
	}
	defer packets.Close()

	fmt.Println("watching", ifname)
	for {
		packet, err := packets.Next(ctx)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return err
		}
		var way []string
		for _, step := range packet.Steps {
			way = append(way, fmt.Sprintf("%s %v", step.Name, step.Verdict))
		}
		fmt.Printf("%d bytes: %s\n", packet.Length, strings.Join(way, ", "))
	}
	for _, p := range observer.Read().Chains[0].Programs {
		fmt.Printf("%s: %d packets\n", p.Name, p.Packets)
	}
	return nil
}
