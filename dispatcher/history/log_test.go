package history

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func add(t *testing.T, d directory, records ...*Record) {
	t.Helper()
	unlock, err := d.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	log, err := d.end()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.append(lazily, log.highest(), records...); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, d directory) (log lines, numbers []int, damaged int) {
	t.Helper()
	log, whole, err := d.read(2 * maxSize)
	if err != nil || !whole {
		t.Fatal(err)
	}
	records, damaged := log.records()
	for _, r := range records {
		numbers = append(numbers, r.Number)
	}
	return log, numbers, damaged
}

// TestBounded: the log doesn't grow beyond its two files, and loses only the oldest records.
func TestBounded(t *testing.T) {
	d := directory(t.TempDir())
	const n = 1500
	for i := 1; i <= n; i++ {
		add(t, d, &Record{Number: i, Outcome: Done, Error: strings.Repeat("x", 10000)})
	}
	total := int64(0)
	files, err := os.ReadDir(string(d))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", f.Name(), info.Mode())
		}
		total += info.Size()
	}
	log, numbers, damaged := read(t, d)
	if total > 2*maxSize || damaged != 0 || log.highest() != n || len(numbers) < maxSize/15000 {
		t.Errorf("%d bytes, %d records up to %d, %d damaged", total, len(numbers), log.highest(), damaged)
	}
	for i, number := range numbers {
		if number != n-i {
			t.Fatalf("record %d where %d should be", number, n-i)
		}
	}
}

// TestDamaged cuts the log at each byte of its last line, and changes each byte of it. All
// other records are still there, and what is added then is whole.
func TestDamaged(t *testing.T) {
	d := directory(t.TempDir())
	path := filepath.Join(string(d), newer)
	for i := 1; i <= 3; i++ {
		add(t, d, &Record{Number: i, Outcome: Done})
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	start := strings.LastIndexByte(strings.TrimSuffix(string(whole), "\n"), '\n') + 1
	try := func(what string, text []byte, wantDamaged int) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		add(t, d, &Record{Number: 4, Outcome: Done})
		if _, numbers, damaged := read(t, d); fmt.Sprint(numbers) != "[4 2 1]" || damaged != wantDamaged {
			t.Errorf("%s: %v and %d damaged", what, numbers, damaged)
		}
	}
	for at := start; at < len(whole)-1; at++ {
		try(fmt.Sprint("cut at ", at), whole[:at], min(at-start, 1))
		changed := append([]byte{}, whole...)
		changed[at] ^= 1
		try(fmt.Sprint("changed at ", at), changed, 1)
	}
}

// TestLast: of the records of an interface counts the newest that knows what runs there, as
// its last line has it.
func TestLast(t *testing.T) {
	d := directory(t.TempDir())
	here := place{boot: "b", netns: 1, cookie: 2, index: 3}
	record := func(number int, outcome Outcome, p place, after *Chain) *Record {
		return &Record{Number: number, Outcome: outcome, Interface: xdp.Interface{Name: "eth0", Index: p.index}, Boot: p.boot, Netns: p.netns, NetnsCookie: p.cookie, After: after}
	}
	chain := &Chain{}
	add(t, d, record(1, UnderWay, here, chain), record(2, UnderWay, here, chain), record(2, Done, here, chain), record(1, Done, here, chain),
		record(3, UnderWay, here, chain), record(3, void, here, nil), record(4, Failed, here, nil))
	for _, other := range []place{{"c", 1, 2, 3}, {"b", 9, 2, 3}, {"b", 1, 9, 3}, {"b", 1, 2, 33}, {"b", 1, 2, 9}} {
		add(t, d, record(5, Done, other, chain))
	}
	log, numbers, _ := read(t, d)
	if r := log.last(here, 0); r == nil || r.Number != 2 || r.Outcome != Done {
		t.Errorf("the last one is %+v", r)
	}
	if r := log.last(here, 2); r == nil || r.Number != 1 || r.Outcome != Done {
		t.Errorf("the one before is %+v", r)
	}
	if r := log.last(place{"b", 1, 2, 4}, 0); r != nil {
		t.Errorf("the last one of nowhere is %+v", r)
	}
	x := index{dir: d}
	for _, more := range []*Record{nil, record(6, UnderWay, here, chain), record(6, Done, here, chain)} {
		want := 2
		if more != nil {
			add(t, d, more)
			want = more.Number
		}
		if err := x.update(); err != nil {
			t.Fatal(err)
		}
		if r := x.last(here, 0); r == nil || r.Number != want || more != nil && r.Outcome != more.Outcome || x.highest != max(want, 5) {
			t.Errorf("the index has %+v as the last one, and %d as the highest number", r, x.highest)
		}
	}
	if r := x.last(here, 6); r == nil || r.Number != 2 || r.Outcome != Done {
		t.Errorf("the index has %+v before that", r)
	}
	// What its owner has appended needn't be read again, and what others append then is not lost.
	own, foreign := record(7, UnderWay, here, chain), record(8, Done, here, chain)
	add(t, d, own)
	x.wrote(own)
	own.Outcome = Done
	if r := x.last(here, 0); r == nil || r.Number != 7 || r.Outcome != UnderWay || x.highest != 7 {
		t.Errorf("the index has %+v as the last one, and %d as the highest number", r, x.highest)
	}
	add(t, d, foreign)
	if err := x.update(); err != nil || x.last(here, 0).Number != 8 || x.highest != 8 {
		t.Errorf("the index misses what others wrote: %v", err)
	}
	if fmt.Sprint(numbers) != "[5 4 2 1]" {
		t.Errorf("records %v", numbers)
	}
}

// TestRepeats: a failure is written once, until something else is.
func TestRepeats(t *testing.T) {
	d := directory(t.TempDir())
	fail := func(text string) int {
		r := NewRecorder(Options{Dir: string(d), Command: []string{"xdpmux", "load"}})
		r.End(&xdp.Error{Kind: xdp.ErrObject, Msg: text}, "nonesuch")
		_, numbers, _ := read(t, d)
		return len(numbers)
	}
	for i, c := range []struct {
		text string
		want int
	}{{"a", 1}, {"a", 1}, {"b", 2}, {"b", 2}, {"a", 3}} {
		if got := fail(c.text); got != c.want {
			t.Errorf("%d: %d records, and not %d", i, got, c.want)
		}
	}
}
