package desired

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestNothingToDo: an apply of 100 interfaces that has nothing to do takes less
// than 0.2 times what the first took.
func TestNothingToDo(t *testing.T) {
	harness.NoLeak(t)
	harness.InNetns(t, func() {
		for range 50 {
			harness.NewVeth(t)
		}
		file := write(t, "state.yaml", fmt.Sprintf("interfaces:\n- name: xm*\n  programs:\n  - {name: filter, object: %s}\n  - {name: count, object: %s}\n",
			object(t, "xdp_drop_ipv6"), object(t, "xdp_count")))
		apply := func() time.Duration {
			start := time.Now()
			mustExit(t, 0, "apply", "-f", file)
			return time.Since(start)
		}
		first := apply()
		again := apply()
		for range 5 { // others share the processors
			again = min(again, apply())
		}
		t.Logf("first %v, with nothing to do %v: %.3f times", first, again, again.Seconds()/first.Seconds())
		if again.Seconds() > 0.2*first.Seconds() {
			t.Errorf("an apply with nothing to do takes %v, the first took %v", again, first)
		}
		if n := strings.Count(mustExit(t, 0, "plan", "-f", file), "nothing to do"); n != 100 {
			t.Errorf("%d interfaces were planned", n)
		}
		// A veth takes only the pins of one end along.
		mustExit(t, 0, "apply", "-f", write(t, "empty.yaml", "interfaces: [{name: xm*}]"))
	})
}

// TestAtOnce: of many that apply one file at the same time, one has something to do.
func TestAtOnce(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	file := write(t, "state.yaml", "interfaces: [{name: "+v.Name+", programs: [{name: a, object: "+object(t, "xdp_pass")+"}]}]")
	watch := watchSwaps(t, v)
	var group sync.WaitGroup
	changed := make(chan bool, 8)
	for range cap(changed) {
		group.Add(1)
		go func() {
			defer group.Done()
			stdout, stderr, status := harness.Run(t, harness.Xdpmux(), "apply", "-f", file)
			if status != 0 {
				t.Errorf("exit status %d\n%s", status, stderr)
			}
			changed <- strings.Contains(stdout, "  add  a  ")
		}()
	}
	group.Wait()
	close(changed)
	n := 0
	for c := range changed {
		if c {
			n++
		}
	}
	if swaps := watch.count(t); n != 1 || swaps != 1 {
		t.Errorf("%d added the program, in %d swaps", n, swaps)
	}
	if got := text(harness.Status(t, v.Name)); got != "50 xdp_pass XDP_PASS" {
		t.Errorf("%s runs", got)
	}
}

// TestRecordOfAnother: a record counts only for the program that it was made for.
func TestRecordOfAnother(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	none := write(t, "none.yaml", "interfaces: [{name: "+v.Name+"}]")
	file := write(t, "state.yaml", "interfaces: [{name: "+v.Name+", programs: [{name: a, object: "+object(t, "xdp_pass")+"}]}]")
	mustExit(t, 0, "apply", "-f", file)
	record := filepath.Join("/run/xdpmux", fmt.Sprint(harness.Status(t, v.Name).Programs[0].ID)+".json")
	data, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]any{"tag": "0123456789abcdef", "load_time": 1, "id": 1} {
		var r map[string]any
		if err := json.Unmarshal(data, &r); err != nil {
			t.Fatal(err)
		}
		r[key] = value
		other, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(record, other, 0o600); err != nil {
			t.Fatal(err)
		}
		if out := mustExit(t, 0, "plan", "-f", none); !strings.Contains(out, "nothing to do") {
			t.Errorf("with another %s, the program is taken for xdpmux's:\n%s", key, out)
		}
		if out := mustExit(t, 2, "plan", "-f", file); !strings.Contains(out, "adopt  a") { // its name and tag tell
			t.Errorf("with another %s:\n%s", key, out)
		}
	}
	if err := os.WriteFile(record, data, 0o600); err != nil {
		t.Fatal(err)
	}
	half := record + ".new" // as a killed apply leaves it
	if err := os.WriteFile(half, data[:10], 0o600); err != nil {
		t.Fatal(err)
	}
	mustExit(t, 2, "plan", "-f", none)
	mustExit(t, 0, "apply", "-f", none)
	for _, file := range []string{record, half} {
		if _, err := os.Stat(file); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", file, err)
		}
	}
}

// TestContents: maps are filled before the first packet, on every CPU; a map that
// is found at its pin keeps what it holds; other contents in the file are a change.
func TestContents(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	pins := "/sys/fs/bpf/xm-contents"
	t.Cleanup(func() { os.RemoveAll(pins) })
	file := func(value int) string {
		return write(t, "state.yaml", fmt.Sprintf(`interfaces:
- name: %s
  programs:
  - {name: count, object: %s, maps: {packets: [{key: 0, value: %d}]}}
  - {name: pinned, object: %s, section: xdp/good, pin-path: %s, maps: {pinned_packets: [{key: 00 00 00 00, value: %[3]d}]}}
`, v.Name, object(t, "xdp_count"), value, object(t, "fixtures/pinned"), pins))
	}
	mustExit(t, 0, "apply", "-f", file(1000))
	cpus, err := libbpf.NumPossibleCPUs()
	if err != nil {
		t.Fatal(err)
	}
	check := func(perCPU, pinned uint64) {
		t.Helper()
		for _, p := range harness.Status(t, v.Name).Programs {
			want := []uint64{pinned}
			if p.Name == "xdp_count" {
				want = slices.Repeat([]uint64{perCPU}, cpus)
			}
			if got := harness.CPUCounters(t, p.ID)[0]; !slices.Equal(got, want) {
				t.Errorf("%s: %d, want %d", p.Name, got, want)
			}
		}
	}
	check(1000, 1000)
	mustExit(t, 0, "plan", "-f", file(1000))
	out := mustExit(t, 0, "apply", "-f", file(1001))
	if strings.Count(out, "replace") != 2 {
		t.Errorf("not two replaced:\n%s", out)
	}
	check(1001, 1000)
}
