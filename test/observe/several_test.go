package observe

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// Packets that come to two interfaces in turn are shown and written in that order, with the
// interface of each.
func TestTraceSeveral(t *testing.T) {
	harness.NoLeak(t)
	one, two := harness.NewVeth(t), harness.NewVeth(t)
	stepsOn(t, one, 1)
	stepsOn(t, two, 2)
	one.Deliver(t, packet()) // its sockets stay
	name := filepath.Join(t.TempDir(), "two.pcapng")
	const packets = 40
	p := harness.Start(t, xdpmux, "trace", one.Name+","+two.Name, "--print", "-w", name)
	p.Stdout.LineWhile(t, 50*time.Millisecond, func() { two.Deliver(t, packet()) })
	var want []string
	for i := range packets {
		v := []*harness.Veth{one, two}[i%2]
		v.Deliver(t, append(packet(xdp.Pass), make([]byte, 100+i)...))
		want = append(want, fmt.Sprintf("%s %d", v.Name, 164+i))
	}
	if !p.Stdout.Until(t, func(all string) bool { return strings.Contains(all, fmt.Sprintf(", %d bytes", 163+packets)) }) {
		t.Fatalf("no last packet in\n%s", p.Stdout)
	}
	p.Stop(t, exitSignal)
	var shown []string
	for _, m := range regexp.MustCompile(`(?m)^\d+  (\S+)  .*, (\d+) bytes: `).FindAllStringSubmatch(p.Stdout.String(), -1) {
		if m[2] != "64" { // of those before the trace was known to run
			shown = append(shown, m[1]+" "+m[2])
		}
	}
	written, points := harness.ReadPoints(t, name)
	var inFile []string
	for i, c := range written {
		ifname, _, _ := strings.Cut(c.Interface, ":")
		if c.Length != 64 {
			inFile = append(inFile, fmt.Sprintf("%s %d", ifname, c.Length))
		}
		if c.ID != uint64(i+1) {
			t.Errorf("packet %d has number %d", i+1, c.ID)
		}
	}
	if !slices.Equal(shown, want) || !slices.Equal(inFile, want) || len(points) != 2 {
		t.Errorf("sent %v\nshown %v\nwritten %v, %v\n%s", want, shown, inFile, points, p.Stderr)
	}
}
