package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

// tracedPackets are in the capture that trace is measured with.
const tracedPackets = 20_000

// observing measures what it costs packets that stats counts them, and how fast trace
// sends a capture through a chain.
func observing(ctx context.Context, w io.Writer) error {
	if err := addPair(ctx, "seen"); err != nil {
		return err
	}
	fmt.Fprint(w, "\n## Observing\n\nWhat stats adds to a packet's way, for each program that it meets, by test run.\n\n")
	fmt.Fprintln(w, "| programs | counting | counting and time (--latency) | afterwards |\n|---:|---:|---:|---|")
	for _, n := range []int{1, 2, 10} {
		progress("observing a chain of %d", n)
		if _, err := measure(ctx, ours, append([]string{"load", "seen"}, slices.Repeat([]string{passObject}, n)...)...); err != nil {
			return err
		}
		line, err := costOfCounting(ctx, n)
		if err != nil {
			return err
		}
		fmt.Fprintln(w, line)
		if n == 10 {
			if err := tracing(ctx, w, n); err != nil {
				return err
			}
		}
		if _, err := measure(ctx, ours, "unload", "seen", "-a"); err != nil {
			return err
		}
	}
	return nil
}

// costOfCounting is a line of the table. A program's place in memory is another each
// time one is attached, and some are slow to reach: of a few times the least counts.
func costOfCounting(ctx context.Context, n int) (string, error) {
	c, err := statusOf(ctx, "seen")
	if err != nil {
		return "", err
	}
	chain, err := libbpf.ProgByID(c.Dispatcher.ID)
	if err != nil {
		return "", err
	}
	defer chain.Close()
	obj, err := libbpf.OpenFile(passObject, libbpf.OpenOptions{})
	if err != nil {
		return "", err
	}
	defer obj.Close()
	if err := obj.Load(); err != nil {
		return "", err
	}
	empty := obj.Programs()[0].FD()
	var ratios [4]float64 // before, counting, with time, afterwards
	for round := range 4 {
		for i := range ratios {
			ratio, err := observedRatio(ctx, chain.Int(), empty, i, n)
			if err != nil {
				return "", err
			}
			if round == 0 || ratio < ratios[i] {
				ratios[i] = ratio
			}
		}
	}
	before, each := ratios[0], func(r float64) float64 { return (r - ratios[0]) / float64(n) }
	return fmt.Sprintf("| %d | %.1f × bare | %.1f × bare | %.2f of the old cost |", n, each(ratios[1]), each(ratios[2]), ratios[3]/before), nil
}

// observedRatio compares the chain, observed as kind says, to a program alone: the
// fastest of short runs in turns.
func observedRatio(ctx context.Context, chain, empty, kind, n int) (float64, error) {
	if kind == 1 || kind == 2 {
		o, err := observe.Open(ctx, []string{"seen"}, observe.Options{Latency: kind == 2})
		if err != nil {
			return 0, err
		}
		defer o.Close()
	}
	var least [2]time.Duration
	for i := range 10 {
		for j, run := range []struct{ fd, repeat int }{{empty, 20_000}, {chain, 20_000 / n}} {
			r, err := libbpf.TestRun(run.fd, libbpf.TestRunOptions{Data: make([]byte, 64), Repeat: run.repeat})
			if err != nil {
				return 0, err
			}
			if i == 0 || r.Duration < least[j] {
				least[j] = r.Duration
			}
		}
	}
	return float64(least[1]) / float64(least[0]), nil
}

// tracing has trace send a capture through the chain.
func tracing(ctx context.Context, w io.Writer, programs int) error {
	progress("trace")
	dir, err := os.MkdirTemp("", "xdpmux-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	capture := filepath.Join(dir, "capture.pcap")
	if err := writeCapture(capture); err != nil {
		return err
	}
	fmt.Fprint(w, "\n| trace --pcap, start and end included | packets a second |\n|---|---:|\n")
	for _, format := range []string{"", "--json"} {
		// Into a file, as nothing else shall run beside it.
		command := strings.TrimSpace(fmt.Sprintf("%s trace seen --pcap %s %s", ours, capture, format))
		m, err := best(ctx, 5, "sh", "-c", command+" >"+filepath.Join(dir, "out"))
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "| %d packets through %d programs, as %s | %.0f |\n", tracedPackets, programs,
			map[string]string{"": "text", "--json": "JSON"}[format], tracedPackets/m.wall.Seconds())
	}
	return nil
}

func writeCapture(name string) error {
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IP{192, 0, 2, 1}, DstIP: net.IP{192, 0, 2, 2}}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true},
		&layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4},
		ip, &layers.UDP{SrcPort: 10_000, DstPort: 20_000}, gopacket.Payload(make([]byte, 22)))
	if err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	w := pcapgo.NewWriter(f)
	if err := w.WriteFileHeader(65535, layers.LinkTypeEthernet); err != nil {
		return err
	}
	for range tracedPackets {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Now(), CaptureLength: len(b.Bytes()), Length: len(b.Bytes())}, b.Bytes()); err != nil {
			return err
		}
	}
	return f.Close()
}
