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
	bare, err := bareProgram()
	if err != nil {
		return err
	}
	defer bare.Close()
	fmt.Fprint(w, "\n## Observing\n\nWhat stats adds to a packet's way, for each of its probes that it meets, by test run: one for each program, and\nfrom two programs on one for the dispatcher.\n\n")
	fmt.Fprintln(w, "| programs | interfaces | counting | counting and time (--latency) | the chain before | afterwards |\n|---:|---:|---:|---:|---:|---:|")
	names := []string{"seen"}
	for _, n := range []int{1, 2, 10} {
		if err := observingChain(ctx, w, names, n, bare); err != nil {
			return err
		}
	}
	for i := range sharing - 1 {
		names = append(names, fmt.Sprintf("seen%d", i))
		if err := addPair(ctx, names[i+1]); err != nil {
			return err
		}
	}
	for _, n := range []int{1, 2} {
		if err := observingChain(ctx, w, names, n, bare); err != nil {
			return err
		}
	}
	progress("trace")
	const programs = 10
	if err := loadPass(ctx, names[:1], programs); err != nil {
		return err
	}
	if err := tracing(ctx, w, programs); err != nil {
		return err
	}
	return do(ctx, ours, "unload", "seen", "-a")
}

// sharing is how many interfaces share a program.
const sharing = 50

func loadPass(ctx context.Context, names []string, n int) error {
	return do(ctx, ours, append([]string{"load", strings.Join(names, ",")}, slices.Repeat([]string{passObject}, n)...)...)
}

// observingChain measures a chain of n programs that these interfaces share.
func observingChain(ctx context.Context, w io.Writer, names []string, n int, bare *libbpf.FD) error {
	progress("observing a chain of %d on %d interfaces", n, len(names))
	if err := loadPass(ctx, names, n); err != nil {
		return err
	}
	if err := counting(ctx, w, names, n, bare); err != nil {
		return err
	}
	for _, name := range names {
		if err := do(ctx, ours, "unload", name, "-a"); err != nil {
			return err
		}
	}
	return nil
}

// counting writes a line of the table. A program's place in memory is another each
// time one is attached, and some are slow to reach: the best of three counts.
func counting(ctx context.Context, w io.Writer, names []string, n int, bare *libbpf.FD) error {
	c, err := statusOf(ctx, names[0])
	if err != nil {
		return err
	}
	chain, err := libbpf.ProgByID(c.Dispatcher.ID)
	if err != nil {
		return err
	}
	defer chain.Close()
	took := [4]float64{} // before, counting, with time, afterwards; in runs of the bare program
	for round := range 3 {
		for i := range took {
			var seen []string
			if i == 1 || i == 2 {
				seen = names
			}
			times, err := observed(ctx, seen, c.Interface.Index, observe.Options{Latency: i == 2}, bare, chain)
			if err != nil {
				return err
			}
			if ratio := times[1] / times[0]; round == 0 || ratio < took[i] {
				took[i] = ratio
			}
		}
	}
	probes := float64(n)
	if n > 1 {
		probes++
	}
	each := func(i int) float64 { return (took[i] - took[0]) / probes }
	fmt.Fprintf(w, "| %d | %d | %.1f × bare | %.1f × bare | %.1f × bare | %.1f × bare |\n", n, len(names), each(1), each(2), took[0], took[3])
	return nil
}

// observed measures programs while these interfaces are observed.
func observed(ctx context.Context, names []string, ifindex int, opts observe.Options, programs ...*libbpf.FD) ([]float64, error) {
	if len(names) > 0 {
		o, err := observe.Open(ctx, names, opts)
		if err != nil {
			return nil, err
		}
		defer o.Close()
	}
	return nanoseconds(programs, repeat/10, ifindex)
}

// tracing has trace send a capture through the chain.
func tracing(ctx context.Context, w io.Writer, programs int) error {
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
		took, _, err := best(ctx, 5, "sh", "-c", command+" >"+filepath.Join(dir, "out"))
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "| %d packets through %d programs, as %s | %.0f |\n", tracedPackets, programs,
			map[string]string{"": "text", "--json": "JSON"}[format], tracedPackets/took.Seconds())
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
