package transaction

import (
	"errors"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestAttachAll shares a program among interfaces, or leaves all of them alone.
func TestAttachAll(t *testing.T) {
	harness.NoLeak(t)
	a, b, c := harness.NewVeth(t), harness.NewVeth(t), harness.NewVeth(t)
	commit(t, b.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("verdicts", "v_pass")}})
	front := []xdp.Program{fixture("flood", "front")}
	done, err := dispatcher.AttachAll(t.Context(), []string{a.Name, b.Name}, front, dispatcher.AttachAllOptions{})
	if err != nil {
		t.Fatal(err)
	}
	id := done[0].Programs[0].ID
	if len(done) != 2 || done[1].Programs[0].ID != id {
		t.Errorf("attachments: %+v, %+v", done[0], done[1])
	}
	for _, v := range []*harness.Veth{a, b} {
		v.Deliver(t, padded(frame(plain)))
		bothShow(t, v.Name)
	}
	if got := harness.Counters(t, id); got[0] != 2 {
		t.Errorf("counted %d packets on two interfaces, want 2", got[0])
	}

	// The last one has a program in the way.
	c.Attach(t, harness.Program(t, harness.Pass), harness.Native)
	before := harness.Snapshot(t)
	if _, err := dispatcher.AttachAll(t.Context(), []string{a.Name, b.Name, c.Name}, front, dispatcher.AttachAllOptions{}); !errors.Is(err, xdp.ErrLegacy) {
		t.Errorf("error: %v", err)
	}
	before.Check(t)

	// The last one is refused by its driver when the others are swapped already.
	chains := []uint32{status(t, a.Name).Dispatcher.ID, status(t, b.Name).Dispatcher.ID}
	d := harness.NewVeth(t)
	d.SetMTU(t, 9000)
	before = harness.Snapshot(t)
	if _, err := dispatcher.AttachAll(t.Context(), []string{a.Name, b.Name, d.Name}, front, dispatcher.AttachAllOptions{}); !errors.Is(err, xdp.ErrModeNotSupported) {
		t.Errorf("error: %v", err)
	}
	before.Check(t)
	if now := []uint32{status(t, a.Name).Dispatcher.ID, status(t, b.Name).Dispatcher.ID}; now[0] != chains[0] || now[1] != chains[1] {
		t.Errorf("dispatchers %v, before %v", now, chains)
	}
	unload(t, a.Name)
	unload(t, b.Name)
}

// TestManyOpenFiles loads on more interfaces than the limit of open files would let it: it raises
// that.
func TestManyOpenFiles(t *testing.T) {
	harness.NoLeak(t)
	var names []string
	for range 8 {
		names = append(names, harness.NewVeth(t).Name)
	}
	list := strings.Join(names, ",")
	harness.MustRun(t, "sh", "-c", `ulimit -n 40 && exec "$@"`, "sh", harness.Xdpmux(), "load", list, fixture("verdicts", "").File, "-n", "v_pass")
	for _, name := range names {
		if c := status(t, name); len(c.Programs) != 1 {
			t.Errorf("%+v", c)
		}
	}
	harness.MustRun(t, harness.Xdpmux(), "unload", "-a", list)
}
