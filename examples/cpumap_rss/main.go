// Command cpumap_rss spreads the packets of an interface over CPUs and prints the
// share of each, until Ctrl-C:
//
//	cpumap_rss --cpus 0-3 --queue-size 192 <ifname> build/bpf/xdp_cpumap_rss.o
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

// What bpf/samples/xdp_cpumap_rss.bpf.c has in its maps.
type config struct {
	MapID, Count uint32
	CPUs         [128]uint32
}
type counters struct{ Enqueued, Dropped uint64 }

func main() {
	list := flag.String("cpus", "", "CPUs to use, such as 0-3,6 (default: all that are online)")
	queue := flag.Int("queue-size", 192, "packets that may wait for a CPU")
	mode := flag.String("mode", "native", "attach mode")
	flag.Parse()
	ends := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	defer stop()
	if err := run(ctx, flag.Arg(0), flag.Arg(1), *list, *mode, *queue); err != nil {
		fmt.Fprintln(os.Stderr, "cpumap_rss:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, ifname, file, list, modeName string, queue int) (err error) {
	cpus, cpusErr := maps.ParseCPUs(list)
	mode, modeErr := xdp.ParseMode(modeName)
	if err := errors.Join(cpusErr, modeErr, maps.CheckCPUMap(mode)); err != nil {
		return err
	}
	attached, err := dispatcher.Attach(ctx, ifname, []xdp.Program{{File: file}}, dispatcher.AttachOptions{Mode: mode})
	if err != nil {
		return err
	}
	id := attached.Programs[0].ID
	defer func() {
		err = errors.Join(err, dispatcher.Detach(context.Background(), ifname, id, dispatcher.DetachOptions{}))
	}()
	tracing, err := maps.AttachTracing(id, file, "cpumap_enqueue") // counts what finds no room
	if err != nil {
		return err
	}
	defer tracing.Close()
	opened := map[string]*maps.Map{"cpu_map": nil, "config": nil, "rss": nil}
	for name := range opened {
		if opened[name], err = maps.Open(id, name); err != nil {
			return err
		}
		defer opened[name].Close()
	}
	c := config{MapID: opened["cpu_map"].ID, Count: uint32(len(cpus))}
	for i, cpu := range cpus {
		c.CPUs[i] = uint32(cpu)
	}
	if err = maps.FillCPUMap(opened["cpu_map"], cpus, queue); err == nil {
		err = opened["config"].Update(uint32(0), c) // from here on packets are spread
	}
	for err == nil && ctx.Err() == nil {
		wait, cancel := context.WithTimeout(ctx, 2*time.Second)
		<-wait.Done()
		cancel()
		err = report(opened["rss"], cpus)
	}
	return err
}

// report prints what each CPU was given so far.
func report(rss *maps.Map, cpus []int) error {
	sums, all := make([]counters, len(cpus)), uint64(0)
	for i, cpu := range cpus {
		perCPU, err := maps.Lookup[counters](rss, uint32(cpu))
		if err != nil {
			return err
		}
		for _, c := range perCPU {
			sums[i].Enqueued += c.Enqueued
			sums[i].Dropped += c.Dropped
		}
		all += sums[i].Enqueued
	}
	for i, cpu := range cpus {
		share := 100 * float64(sums[i].Enqueued) / float64(max(all, 1))
		fmt.Printf("cpu %d: %d packets (%.0f%%), %d dropped\n", cpu, sums[i].Enqueued, share, sums[i].Dropped)
	}
	return nil
}
