package transaction

import (
	"reflect"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestTriedUnderFlood tries changes while packets come and both tools clean. They are taken
// back or confirmed, at once or in time. No marked packet gets past the guard, which stays in
// all of them.
func TestTriedUnderFlood(t *testing.T) {
	harness.NoLeak(t)
	harness.FillShortcut(t)
	v := harness.NewVeth(t)
	front, guard, behind := fixture("flood", "front"), fixture("flood", "guard"), fixture("flood", "behind")
	front.Priority, guard.Priority, behind.Priority = prio(10), prio(20), prio(90)
	done := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{front, guard, behind}})
	ids := map[string]uint32{}
	for _, p := range done.Added {
		ids[p.Name] = p.ID
	}
	bystander := fixture("verdicts", "v_pass")
	bystander.Priority = prio(50)
	ids["v_pass"] = commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{bystander}}).Added[0].ID
	before := received(t, v)
	defer cleaning(t, harness.Xdpmux(), native)()
	stop := flood(t, v)
	chance := harness.Chance(t)
	tries := harness.Scaled(50, 6)
	ends := map[string]int{}
	start := time.Now()
	for range tries {
		was := status(t, v.Name)
		tx, name := randomChange(chance, ids)
		change, err := pending.Begin(t.Context(), pending.Options{Time: time.Second, By: "a test", Command: "TestTriedUnderFlood"})
		must(t, err)
		tx.Changing = change.Hold(t.Context())
		done := commit(t, v.Name, tx)
		waits, err := change.Made(t.Context())
		must(t, err)
		end := []string{"confirmed", "taken back", "in time"}[chance.IntN(3)]
		switch {
		case waits != done.Changed:
			t.Errorf("it waits: %t, and was changed: %t", waits, done.Changed)
		case !waits:
			end = "nothing to do"
		case end == "confirmed":
			_, err = change.Confirm(t.Context(), "a test")
		case end == "taken back":
			_, err = change.TakeBack(t.Context(), "a test")
		case end == "in time":
			_, err = change.Await(t.Context())
		}
		must(t, err)
		must(t, change.Close())
		if end == "confirmed" && len(done.Replaced) > 0 {
			ids[name] = done.Replaced[0].New.ID
		}
		want := was
		if end == "confirmed" {
			want = done.Chain
		}
		if now := status(t, v.Name); !reflect.DeepEqual(now, want) {
			t.Fatalf("%s: %+v, want %+v", end, now, want)
		}
		ends[end]++
	}
	took := time.Since(start)
	packets := stop() - before
	t.Logf("%d packets, %d tries: %v, %v each", packets, tries, ends, took/time.Duration(tries))
	f, g, b := harness.Counters(t, ids["front"]), harness.Counters(t, ids["guard"]), harness.Counters(t, ids["behind"])
	if b[1] != 0 {
		t.Errorf("%d marked packets got past the guard", b[1])
	}
	if f[0]+f[1] == 0 || g[1] == 0 || packets < uint64(tries) {
		t.Errorf("front counted %d, the guard dropped %d, of %d packets: that proves nothing", f, g, packets)
	}
	checkPins(t, v)
	unload(t, v.Name)
}
