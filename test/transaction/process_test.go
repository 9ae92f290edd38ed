package transaction

import (
	"errors"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestOneProcess changes one chain while changes of another one are refused, in the same process.
// They don't wait for each other, and what is refused leaves no descriptor open.
func TestOneProcess(t *testing.T) {
	harness.NoLeak(t)
	a, b := harness.NewVeth(t), harness.NewVeth(t)
	var ids []uint32
	for _, v := range []*harness.Veth{a, b} {
		ids = append(ids, commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("verdicts", "v_pass")}}).Added[0].ID)
	}
	done := make(chan error, 2)
	go func() {
		for i := range uint32(40) {
			_, err := dispatcher.Transaction{Mode: xdp.ModeUnspecified, Set: []dispatcher.Setting{{ID: ids[0], Priority: &i}}}.Commit(t.Context(), a.Name)
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	go func() {
		for range 40 {
			if err := dispatcher.Detach(t.Context(), b.Name, ids[0], dispatcher.DetachOptions{}); !errors.Is(err, xdp.ErrNoProgram) {
				done <- err
				return
			}
			without := []xdp.Program{fixture("unsized", "")}
			if _, err := dispatcher.Attach(t.Context(), b.Name, without, dispatcher.AttachOptions{}); !errors.Is(err, xdp.ErrMapSize) {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range cap(done) {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("they wait for each other")
		}
	}
	unload(t, a.Name)
	unload(t, b.Name)
}
