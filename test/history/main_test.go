// Package history tests what is recorded of changes.
package history

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/history"
	"github.com/xdpmux/xdpmux/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var ours = harness.Xdpmux

// fresh has the test begin without history, with room for so many bytes of it.
func fresh(t *testing.T, size int) {
	t.Helper()
	const dir = "/var/lib/xdpmux"
	must(t, os.MkdirAll(dir, 0o700))
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("mode=0700,size=%d", size)))
	t.Cleanup(func() { must(t, unix.Unmount(dir, 0)) })
}

const roomy = 8 << 20

// veth is a pair whose chain goes at the end.
func veth(t *testing.T) *harness.Veth {
	t.Helper()
	v := harness.NewVeth(t)
	t.Cleanup(func() { harness.Run(t, ours(), "unload", "-a", v.Name) })
	return v
}

// records are what xdpmux history prints, the oldest first.
func records(t *testing.T, args ...string) (all []*history.Record) {
	t.Helper()
	var newestFirst []*history.Record
	must(t, json.Unmarshal([]byte(harness.MustRun(t, ours(), append([]string{"history", "--json"}, args...)...)), &newestFirst))
	for _, r := range newestFirst {
		all = append([]*history.Record{r}, all...)
	}
	return all
}

// places are the programs of a chain and how they take their places.
func places(c *history.Chain) string {
	if c == nil {
		return "unknown"
	}
	var all []string
	for _, p := range c.Programs {
		all = append(all, fmt.Sprintf("%d %s %d %v", p.ID, p.Name, p.Priority, p.Actions))
	}
	if c.Legacy != nil {
		all = append(all, fmt.Sprintf("%d %s alone", c.Legacy.ID, c.Legacy.Name))
	}
	return strings.Join(all, ", ")
}

// running is what places says of what runs now.
func running(t *testing.T, ifname string) string {
	t.Helper()
	now := &history.Chain{}
	for _, p := range harness.Status(t, ifname).Programs {
		now.Programs = append(now.Programs, history.Program{Component: p})
	}
	return places(now)
}

// unbroken fails the test unless each record begins where the one before it has ended, up to
// what runs now, and none was made by others.
func unbroken(t *testing.T, ifname string) []*history.Record {
	t.Helper()
	all := records(t, ifname)
	last := ""
	for _, r := range all {
		if r.Outcome == history.Found || r.Outcome == history.UnderWay {
			t.Errorf("record %d: %v", r.Number, r)
		}
		if r.Before == nil {
			continue
		}
		if got := places(r.Before); got != last {
			t.Errorf("record %d, %v: begins with %s, and the one before it has ended with %s", r.Number, r, got, last)
		}
		last = places(r.After)
	}
	if now := running(t, ifname); last != now {
		t.Errorf("the newest record ends with %s, and now there is %s", last, now)
	}
	return all
}

func itoa(n uint32) string { return fmt.Sprint(n) }
