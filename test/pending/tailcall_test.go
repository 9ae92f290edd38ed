package pending

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestTailCalls takes back changes of chains with a program that calls others. The kernel empties
// a program array that nobody holds: right after the way back it holds what it held, though
// the tools have cleaned meanwhile.
func TestTailCalls(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	drops := append([]byte{1}, make([]byte, 63)...) // slot 1 calls t_drop
	for _, n := range []int{1, 2, 10} {
		chain(t, v, n-1)
		run(t, 0, "load", v.Name, harness.Fixture("tailcall"), "-P", "5")
		before := status(t, v.Name)
		calls := run(t, 0, "map", "dump", v.Name, "calls")
		id := fmt.Sprint(before.Programs[0].ID)
		changes := [][]string{{"unload", "-a", v.Name}}
		if n == 2 {
			changes = append(changes, []string{"replace", v.Name, "-i", id, object(t), "-n", "v_tx"})
		}
		for _, args := range changes {
			run(t, 0, append(args, "--confirm", "10m")...)
			harness.MustRun(t, native, "clean")
			run(t, 0, "clean")
			run(t, 0, "revert")
			if passed := v.Deliver(t, drops); len(passed) != 0 {
				t.Errorf("%d programs, %q: the program isn't called any more", n, args)
			}
			if now := run(t, 0, "map", "dump", v.Name, "calls"); now != calls {
				t.Errorf("%d programs, %q: the array holds\n%s\nand held\n%s", n, args, now, calls)
			}
			if now := status(t, v.Name); !reflect.DeepEqual(now, before) {
				t.Errorf("%d programs, %q: it is\n%+v\nwant\n%+v", n, args, now, before)
			}
			checkEnded(t, v)
		}
	}
	chain(t, v, 0)
}
