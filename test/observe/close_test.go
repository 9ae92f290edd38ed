package observe

import (
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestCloseTwice closes all that a Go program has open twice. The second time changes
// nothing, also where the descriptors that the first has closed are others' by then.
func TestCloseTwice(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	const rss = samples + "xdp_cpumap_rss.o"
	id := attach(t, v, xdp.Program{File: rss})[0].ID
	opens := map[string]func() (io.Closer, error){
		"Observer": func() (io.Closer, error) { return observe.Open(t.Context(), []string{v.Name}, observe.Options{}) },
		"Live": func() (io.Closer, error) {
			return observe.OpenLive(t.Context(), []string{v.Name}, observe.LiveOptions{})
		},
		"Replay":  func() (io.Closer, error) { return observe.OpenReplay(t.Context(), v.Name, observe.AtChain) },
		"Map":     func() (io.Closer, error) { return maps.Open(id, "rss") },
		"Tracing": func() (io.Closer, error) { return maps.AttachTracing(id, rss, "cpumap_enqueue") },
	}
	for name, open := range opens {
		c, err := open()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := c.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var others []*os.File
		for range 64 {
			f, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			others = append(others, f)
		}
		if err := c.Close(); err != nil {
			t.Errorf("%s, for the second time: %v", name, err)
		}
		for _, f := range others {
			if _, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil {
				t.Errorf("%s: the second time closed another's descriptor: %v", name, err)
			}
			f.Close()
		}
	}
}
