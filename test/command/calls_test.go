package command

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestStatusCalls has status --json name the programs that a program calls, with their slots.
// bpftool says the same of the array.
func TestStatusCalls(t *testing.T) {
	v := chainOf(t, harness.Fixture("tailcall"), harness.Sample("xdp_pass"))
	array := mapsOf(t, v)["calls"]
	var want []dispatcher.Called
	var entries []struct{ Key, Value []string }
	decode(t, harness.MustRun(t, "bpftool", "-j", "map", "dump", "id", fmt.Sprint(array.ID)), &entries)
	for _, e := range entries {
		if number(t, e.Value) == 0 {
			continue // how old kernels show an empty slot
		}
		c := dispatcher.Called{Map: "calls", Slot: number(t, e.Key)}
		decode(t, harness.MustRun(t, "bpftool", "-j", "prog", "show", "id", fmt.Sprint(number(t, e.Value))), &c.Loaded)
		want = append(want, c)
	}
	if len(want) != 4 {
		t.Fatalf("bpftool says %+v", want)
	}
	var chains []struct {
		Programs []struct {
			Name  string
			Calls []dispatcher.Called
		}
	}
	decode(t, harness.MustRun(t, harness.Xdpmux(), "status", "--json", v.Name), &chains)
	for _, p := range chains[0].Programs {
		switch {
		case p.Name == "t_entry" && !slices.Equal(p.Calls, want):
			t.Errorf("t_entry calls %+v, bpftool says %+v", p.Calls, want)
		case p.Name != "t_entry" && p.Calls != nil:
			t.Errorf("%s calls %+v", p.Name, p.Calls)
		}
	}
}

// number is what bpftool shows as four bytes.
func number(t *testing.T, bytes []string) (n uint32) {
	t.Helper()
	for i, text := range bytes {
		b, err := strconv.ParseUint(text, 0, 8)
		if err != nil {
			t.Fatal(err)
		}
		n |= uint32(b) << (8 * i)
	}
	return n
}
