package observe

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/filter"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/filters"
	"github.com/xdpmux/xdpmux/test/harness"
)

// Of the wire a filter takes packets as they leave a chain that changes them, and with --at programs
// those that it takes at one of the points; of a file as they are in it. The kernel's answer is held
// to that of tcpdump for all filters elsewhere.
func TestFilter(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	attach(t, v, step(0, xdp.Pass), xdp.Program{File: "../../build/bpf/fixtures/encap.o", Priority: xdp.Prio(5)})
	frames := slices.DeleteFunc(filters.Packets(), func(frame []byte) bool { return len(frame) > 1500 })
	const markers = " or (len >= 242 and len <= 247)" // of writeLive
	perPacket := func(captured []harness.Captured) (packets [][]harness.Captured) {
		for i, c := range captured {
			if i == 0 || c.ID != captured[i-1].ID {
				packets = append(packets, nil)
			}
			last := &packets[len(packets)-1]
			*last = append(*last, c)
		}
		return packets
	}
	same := func(a, b harness.Captured) bool {
		return a.Interface == b.Interface && a.Verdict == b.Verdict && a.Length == b.Length && bytes.Equal(a.Data, b.Data)
	}
	take := func(words string, c harness.Captured) bool {
		f, err := filter.Compile(words)
		if err != nil {
			t.Fatal(err)
		}
		return f.Match(c.Data, c.Length)
	}
	for _, c := range []struct {
		at    string
		words []string
	}{
		{"chain", []string{"vlan 7 and tcp port 443 and not host 198.51.100.7"}},
		{"programs", []string{"tcp port 443 and not host 198.51.100.7"}},
	} {
		whole, _ := writeLive(t, v, frames, "--at", c.at)
		all := perPacket(whole)
		if len(all) != len(frames) {
			t.Fatalf("%s: %d packets, want %d", c.at, len(all), len(frames))
		}
		for _, words := range c.words {
			var want []harness.Captured
			for _, points := range all {
				if slices.ContainsFunc(points, func(c harness.Captured) bool { return take(words, c) }) {
					want = append(want, points...)
				}
			}
			got, _ := writeLive(t, v, frames, "--at", c.at, "--snaplen", "4096", "("+words+")"+markers)
			if len(want) == 0 || len(want) == len(whole) || !slices.EqualFunc(got, want, same) {
				t.Errorf("%s: %s: %d of %d points, want %d", c.at, words, len(got), len(whole), len(want))
			}
		}
	}

	// What is kept of a packet may be less than what the filter looks at.
	short, _ := writeLive(t, v, frames, "--snaplen", "14", "(vlan and ip[9] = 6)"+markers)
	if len(short) == 0 || len(short[0].Data) != 14 {
		t.Errorf("%+v", short)
	}

	// The words need no quotes, and go with other choices.
	name := filepath.Join(t.TempDir(), "some.pcapng")
	p := harness.Start(t, xdpmux, "trace", v.Name, "-w", name, "--verdict", "PASS", "--count", "3", "vlan", "7", "and", "(tcp port 80", "or", "arp)")
	for range 1000 {
		select {
		case <-p.Ended():
		default:
			v.Deliver(t, frames...)
			continue
		}
		break
	}
	p.End(t, 0)
	some, _ := harness.ReadPoints(t, name)
	if len(some) != 3 || slices.ContainsFunc(some, func(c harness.Captured) bool {
		return c.Verdict != int64(xdp.Pass) || !take("vlan 7 and (tcp port 80 or arp)", c)
	}) {
		t.Errorf("%+v", some)
	}

	// Packets of a file keep their numbers.
	unfiltered := filepath.Join(t.TempDir(), "whole.pcapng")
	harness.MustRun(t, xdpmux, "trace", v.Name, "--pcap", filters.Pcap(t), "-w", unfiltered)
	harness.MustRun(t, xdpmux, "trace", v.Name, "--pcap", filters.Pcap(t), "-w", name, "--force", "tcp and not vlan")
	var want []harness.Captured
	all, _ := harness.ReadPoints(t, unfiltered)
	for i, frame := range filters.Packets() {
		if take("tcp and not vlan", harness.Captured{Data: frame, Length: len(frame)}) {
			want = append(want, all[i])
		}
	}
	got, _ := harness.ReadPoints(t, name)
	if len(want) == 0 || !slices.EqualFunc(got, want, func(a, b harness.Captured) bool { return a.ID == b.ID && same(a, b) }) {
		t.Errorf("of the file: %+v, want %+v", got, want)
	}
}
