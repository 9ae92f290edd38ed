package observe

import (
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// What became of an interface's packets stays known when the program that decided is not
// named any more.
func TestOutStays(t *testing.T) {
	counts := func(pass uint64) Counts {
		return Counts{Packets: pass, Verdicts: Verdicts{xdp.Pass: pass}, Decided: pass, Missed: 1}
	}
	gone := func(id uint32, role Role, ago time.Duration, pass uint64) *row {
		return &row{Program: Program{Loaded: xdp.Loaded{ID: id}, Role: role, Gone: true}, base: counts(pass), since: time.Now().Add(-ago)}
	}
	f := &followed{counters: &counters{}, rows: []*row{
		gone(1, RoleLegacy, 2*KeepGone, 5), gone(2, RoleComponent, 2*KeepGone, 7), gone(3, RoleLegacy, time.Second, 20)}}
	for range 2 {
		c := f.snapshot()
		if want := (Counts{Packets: 25, Verdicts: Verdicts{xdp.Pass: 25}, Decided: 25, Missed: 2}); len(c.Programs) != 1 || f.out(c) != want {
			t.Errorf("%d programs, out %+v, want %+v", len(c.Programs), f.out(c), want)
		}
	}
}
