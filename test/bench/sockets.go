package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// sockets has the example and the native tool receive the same flood on AF_XDP sockets.
func sockets(ctx context.Context, w io.Writer) error {
	progress("sockets")
	bench := "xdp-bench"
	if _, err := exec.LookPath(bench + "-sid"); err == nil { // in the VM; older ones have no AF_XDP
		bench += "-sid"
	}
	if help, _ := exec.CommandContext(ctx, bench, "help").CombinedOutput(); !strings.Contains(string(help), "xsk-drop") {
		fmt.Fprint(w, "\nNothing here tells of AF_XDP sockets, because this xdp-bench has none.\n")
		return nil
	}
	if err := addPair(ctx, socketVeth); err != nil {
		return err
	}
	for _, name := range []string{socketVeth, socketVeth + "p"} {
		if err := do(ctx, "ip", "link", "set", name, "up"); err != nil {
			return err
		}
	}
	stop, err := flood(socketVeth+"p", func(uint64) int { return 60 })
	if err != nil {
		return err
	}
	defer stop()
	receivers := []struct {
		rate    string
		command []string
		rates   []float64
	}{
		{rate: `([0-9,]+) rx/s`, command: []string{bench, "xsk-drop", "-i", "1", socketVeth}},
		{rate: `([0-9,]+) rx/s`, command: []string{bench, "xsk-drop", "-i", "1", "--poll", socketVeth}},
		{rate: `([0-9]+) in a second`, command: []string{"build/examples/af_xdp", socketVeth}},
	}
	for range socketRounds {
		for i := range receivers {
			r := &receivers[i]
			rates, err := received(ctx, r.command, regexp.MustCompile(r.rate))
			if err != nil {
				return err
			}
			r.rates = append(r.rates, rates...)
		}
	}
	fmt.Fprintf(w, `
## Receiving on an AF_XDP socket

Packets a second on a veth under the same flood, the median of %d rounds in turn. xsk-drop is what the kernel's
sample xdpsock has become. It asks without a pause whether a packet is there; with --poll, it waits in poll(2). The
example asks a hundred times, and then waits. In brackets the middle half of the rates.

| xdp-bench xsk-drop | xdp-bench xsk-drop --poll | examples/af_xdp | ratio to the better |
|---:|---:|---:|---:|
`, socketRounds)
	for _, r := range receivers {
		slices.Sort(r.rates)
		fmt.Fprintf(w, "| %.0f (%.0f to %.0f) ", median(r.rates), r.rates[len(r.rates)/4], r.rates[len(r.rates)*3/4])
	}
	fmt.Fprintf(w, "| %.2f |\n", median(receivers[2].rates)/max(median(receivers[0].rates), median(receivers[1].rates)))
	return nil
}

const (
	socketVeth    = "sock"
	socketRounds  = 5
	socketSeconds = 8
)

// flood sends packets on an interface, as fast as it can, until stop is called. Packet n, from 0, has
// that many bytes, and its number behind the header. stop returns how many were taken.
func flood(ifname string, length func(n uint64) int) (stop func() (sent uint64), err error) {
	fd, to, err := packetSocket(ifname)
	if err != nil {
		return nil, err
	}
	frame := make([]byte, 1500)
	frame[12], frame[13] = 0x88, 0xb5 // IEEE 802.1, local experimental
	var ending atomic.Bool
	var sent uint64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !ending.Load() {
			binary.BigEndian.PutUint64(frame[14:], sent)
			if unix.Sendto(fd, frame[:length(sent)], 0, to) == nil { // what is full, drops
				sent++
			}
		}
	}()
	return func() uint64 {
		ending.Store(true)
		<-ended
		unix.Close(fd)
		return sent
	}, nil
}

// floodNumber is the number of a packet of a flood.
func floodNumber(frame []byte) (n uint64, ok bool) {
	if len(frame) < 22 || frame[12] != 0x88 || frame[13] != 0xb5 {
		return 0, false
	}
	return binary.BigEndian.Uint64(frame[14:]), true
}

func packetSocket(ifname string) (fd int, to *unix.SockaddrLinklayer, err error) {
	i, err := net.InterfaceByName(ifname)
	if err != nil {
		return -1, nil, err
	}
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	return fd, &unix.SockaddrLinklayer{Ifindex: i.Index}, os.NewSyscallError("socket", err)
}

// received runs a command, until Ctrl-C, that prints each second how many packets there are, and
// returns these rates but the first, in which it started.
func received(ctx context.Context, command []string, rate *regexp.Regexp) (rates []float64, err error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		c, err := dispatcher.Status(ctx, socketVeth)
		if err == nil && c.Dispatcher == nil && c.Legacy == nil && time.Now().Before(deadline) {
			continue // it hasn't begun
		}
		break
	}
	time.AfterFunc(socketSeconds*time.Second, func() { _ = cmd.Process.Signal(syscall.SIGINT) })
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%q: %w\n%s", command, err, &out)
	}
	time.Sleep(time.Second) // the kernel frees the queue a while later, and nothing tells when
	for _, m := range rate.FindAllStringSubmatch(out.String(), -1) {
		if n, err := strconv.ParseFloat(strings.ReplaceAll(m[1], ",", ""), 64); err == nil && n > 0 {
			rates = append(rates, n)
		}
	}
	if len(rates) < 2 {
		return nil, fmt.Errorf("%q: it prints too few rates\n%s", command, &out)
	}
	return rates[1:], nil
}
