package transaction

import (
	"sync"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestNoLeak loads and unloads a hundred times within one process and looks for
// whatever is left of it: descriptors, programs, maps, links and pins.
func TestNoLeak(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	programs := []xdp.Program{{File: harness.Sample("xdp_count")}, {File: harness.Sample("xdp_pass")}}
	for range harness.Scaled(100, 40) {
		done, err := dispatcher.Attach(t.Context(), v.Name, programs, dispatcher.AttachOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := dispatcher.Detach(t.Context(), v.Name, done.Programs[0].ID, dispatcher.DetachOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := dispatcher.StatusAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := dispatcher.DetachAll(t.Context(), v.Name, dispatcher.DetachOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestConcurrentUse changes chains of several interfaces from several goroutines
// at once.
func TestConcurrentUse(t *testing.T) {
	harness.NoLeak(t)
	veths := []*harness.Veth{harness.NewVeth(t), harness.NewVeth(t), harness.NewVeth(t)}
	var wg sync.WaitGroup
	for _, v := range veths {
		for _, file := range []string{"xdp_pass", "xdp_count"} {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for range 5 {
					done, err := dispatcher.Attach(t.Context(), v.Name, []xdp.Program{{File: harness.Sample(file)}}, dispatcher.AttachOptions{})
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := dispatcher.StatusAll(t.Context()); err != nil {
						t.Error(err)
					}
					if err := dispatcher.Detach(t.Context(), v.Name, done.Programs[0].ID, dispatcher.DetachOptions{}); err != nil {
						t.Error(err)
					}
				}
			}()
		}
	}
	wg.Wait()
	for _, v := range veths {
		if c := status(t, v.Name); c.Dispatcher != nil || c.Legacy != nil {
			t.Errorf("left on %s: %+v", v.Name, c)
		}
	}
}
