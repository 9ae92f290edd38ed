// Command drop_ipv6_count drops the IPv6 packets that an interface receives, and
// prints how many, until Ctrl-C. It is a start for a loader of your own:
//
//	drop_ipv6_count [-interval 2s] <ifname> build/bpf/xdp_drop_ipv6_count.o
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func main() {
	interval := flag.Duration("interval", 2*time.Second, "time between two lines")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: drop_ipv6_count [-interval 2s] <ifname> <file>")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 2 || *interval <= 0 {
		flag.Usage()
		os.Exit(1)
	}
	ends := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	defer stop()
	if err := run(ctx, flag.Arg(0), flag.Arg(1), *interval); err != nil {
		fmt.Fprintln(os.Stderr, "drop_ipv6_count:", err)
		var e *xdp.Error
		if errors.As(err, &e) && e.Remedy != "" {
			fmt.Fprintln(os.Stderr, " ", e.Remedy)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, ifname, file string, interval time.Duration) (err error) {
	programs := []xdp.Program{{File: file}}
	attached, err := dispatcher.Attach(ctx, ifname, programs, dispatcher.AttachOptions{})
	if err != nil {
		return err
	}
	id := attached.Programs[0].ID
	// Whatever ends this function, its program goes, and others of the chain stay.
	// ctx is cancelled by then.
	defer func() {
		err = errors.Join(err, dispatcher.Detach(context.Background(), ifname, id, dispatcher.DetachOptions{}))
	}()

	rxcnt, err := maps.Open(id, "rxcnt")
	if err != nil {
		return err
	}
	defer rxcnt.Close()

	tick := time.NewTicker(interval)
	defer tick.Stop()
	var before uint64
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			perCPU, err := maps.Lookup[uint64](rxcnt, uint32(0))
			if err != nil {
				return err
			}
			var total uint64
			for _, n := range perCPU {
				total += n
			}
			fmt.Printf("%d packets dropped, %.0f in a second\n", total, float64(total-before)/now.Sub(last).Seconds())
			before, last = total, now
		}
	}
}
