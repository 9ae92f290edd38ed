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
	w := newWriter(d)
	defer w.close()
	unlock, err := w.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	log, err := d.end()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.append(lazily, log.highest(), records...); err != nil {
		t.Fatal(err)
	}
}

func update(t *testing.T, w *writer) {
	t.Helper()
	unlock, err := w.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if err := w.update(); err != nil {
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
	_, numbers, _ := read(t, d)
	if fmt.Sprint(numbers) != "[5 4 2 1]" {
		t.Errorf("records %v", numbers)
	}
	recent := func(p place, except int) *Record {
		t.Helper()
		last, highest, err := d.recent(p, except)
		if err != nil || highest != 5 {
			t.Errorf("highest %d, %v", highest, err)
		}
		return last
	}
	x := newWriter(d)
	defer x.close()
	indexed := func(p place, except int) *Record {
		t.Helper()
		last, err := x.last(p, except)
		if err != nil {
			t.Fatal(err)
		}
		return last
	}
	update(t, x)
	for name, last := range map[string]func(place, int) *Record{"recent": recent, "index": indexed} {
		if r := last(here, 0); r == nil || r.Number != 2 || r.Outcome != Done {
			t.Errorf("%s: the last one is %+v", name, r)
		}
		if r := last(here, 2); r == nil || r.Number != 1 || r.Outcome != Done {
			t.Errorf("%s: the one before is %+v", name, r)
		}
		if r := last(place{"b", 1, 2, 4}, 0); r != nil {
			t.Errorf("%s: the last one of nowhere is %+v", name, r)
		}
	}
	for _, more := range []*Record{record(6, UnderWay, here, chain), record(6, Done, here, chain)} {
		add(t, d, more)
		update(t, x)
		if r := indexed(here, 0); r == nil || r.Number != 6 || r.Outcome != more.Outcome || x.highest != 6 {
			t.Errorf("the index has %+v as the last one, and %d as the highest number", r, x.highest)
		}
	}
	if r := indexed(here, 6); r == nil || r.Number != 2 || r.Outcome != Done {
		t.Errorf("the index has %+v before that", r)
	}
}

// TestIndexFull: of a log that is full, in which lines are longer than what is read at a time, the index
// knows what a reader of all finds, also when the newer file takes the place of the older one; and it
// keeps no line.
func TestIndexFull(t *testing.T) {
	d := directory(t.TempDir())
	x := newWriter(d)
	defer x.close()
	of := func(number int) place { return place{boot: "b", netns: 1, index: 1 + number%50} }
	for n := 1; n <= 180; n++ {
		p := of(n)
		add(t, d, &Record{Number: n, Outcome: Done, Interface: xdp.Interface{Name: "eth0", Index: p.index}, Boot: p.boot, Netns: p.netns,
			After: &Chain{}, Error: strings.Repeat("\"index\":9}", n*60)})
		if n%9 != 0 { // the index reads several lines at a time
			continue
		}
		update(t, x)
		log, _, _ := read(t, d)
		for _, p := range []place{of(n), of(n + 1), {boot: "c", netns: 1, index: 9}} {
			all, err := x.last(p, 0)
			recent, highest, recentErr := d.recent(p, 0)
			if err != nil || recentErr != nil || highest != n || x.highest != n {
				t.Fatalf("highest %d and %d of %d, %v, %v", highest, x.highest, n, err, recentErr)
			}
			want := 0
			for _, l := range log {
				if r := l.record(); r.place() == p {
					want = r.Number
					break
				}
			}
			for name, r := range map[string]*Record{"index": all, "recent": recent} {
				if r == nil && want != 0 || r != nil && r.Number != want {
					t.Fatalf("%d: the %s has %+v as the last one of %+v, want %d", n, name, r, p, want)
				}
			}
		}
	}
	if _, err := os.Stat(filepath.Join(string(d), older)); err != nil {
		t.Error("the log was never full: ", err)
	}
	kept := 0
	for _, spots := range x.spots {
		kept += len(spots)
	}
	log, _, _ := read(t, d)
	if kept != len(log) {
		t.Errorf("it has %d places of %d lines", kept, len(log))
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
