package history

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// TestAmongOthers: a writer that keeps its files open finds what a reader of all finds, and writes where
// others look, whatever they have done since its last change.
func TestAmongOthers(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		what   string
		others func(t *testing.T, d directory, foreign func(indices ...int))
		lost   bool // what we had written before
	}{
		{what: "nothing", others: func(*testing.T, directory, func(...int)) {}},
		{what: "they wrote", others: func(_ *testing.T, _ directory, foreign func(...int)) { foreign(2, 1, 3) }},
		{what: "they filled the file", others: func(_ *testing.T, d directory, foreign func(...int)) {
			must(os.Rename(d.path(newer), d.path(older)))
			foreign(2)
		}},
		{what: "they filled two files, the second of the same size", lost: true, others: func(t *testing.T, d directory, foreign func(...int)) {
			must(os.Rename(d.path(newer), d.path(older)))
			foreign(2)
			must(os.Rename(d.path(newer), d.path(older)))
			foreign(2)
		}},
		{what: "they were killed before there was a newer file", others: func(_ *testing.T, d directory, _ func(...int)) {
			must(os.Rename(d.path(newer), d.path(older)))
		}},
		{what: "they were killed in the middle of a line", others: func(t *testing.T, d directory, _ func(...int)) {
			f, err := os.OpenFile(d.path(newer), os.O_APPEND|os.O_WRONLY, 0)
			must(err)
			_, err = f.WriteString(`12345678 9 {"number":9,`)
			must(errors.Join(err, f.Close()))
		}},
		{what: "they took back what a full disk cut off", others: func(t *testing.T, d directory, foreign func(...int)) {
			info, err := os.Stat(d.path(newer))
			must(err)
			foreign(1)
			must(os.Truncate(d.path(newer), info.Size()))
		}},
		{what: "the file was cut", lost: true, others: func(t *testing.T, d directory, _ func(...int)) {
			must(os.Truncate(d.path(newer), 100))
		}},
		{what: "the file was emptied, and grew again", lost: true, others: func(t *testing.T, d directory, foreign func(...int)) {
			must(os.Truncate(d.path(newer), 0))
			foreign(2, 2, 2, 2, 2, 2, 2, 2)
		}},
		{what: "all was removed", lost: true, others: func(t *testing.T, d directory, _ func(...int)) { must(os.RemoveAll(string(d))) }},
		{what: "another directory", lost: true, others: func(t *testing.T, d directory, foreign func(...int)) {
			must(os.Rename(string(d), string(d)+".away"))
			foreign(2, 2, 2, 2, 2, 2, 2, 2)
		}},
	} {
		for mode := range 4 {
			looks, closes := mode&1 != 0, mode&2 != 0 // before it writes, and before the others do something
			d := directory(t.TempDir() + "/history")
			highest := 0
			write := func(w *writer, indices ...int) {
				t.Helper()
				unlock, err := w.lock(t.Context())
				must(err)
				defer unlock()
				for _, index := range indices {
					highest++
					must(w.append(lazily, highest-1, &Record{Number: highest, Outcome: Done, Boot: "b", Netns: 1, Interface: xdp.Interface{Index: index}, After: &Chain{}}))
				}
			}
			foreign := func(indices ...int) {
				t.Helper()
				w := newWriter(d)
				defer w.close()
				write(w, indices...)
			}
			compare := func(w *writer, when string) map[int]int {
				t.Helper()
				fresh := newWriter(d)
				defer fresh.close()
				numbers := map[int]int{}
				for _, w := range []*writer{w, fresh} {
					unlock, err := w.lock(t.Context())
					must(err)
					must(w.update())
					for index := range 4 {
						r, err := w.last(place{boot: "b", netns: 1, index: index}, 0)
						must(err)
						got := 0
						if r != nil {
							got = r.Number
						}
						if want, other := numbers[index]; other && want != got {
							t.Errorf("%s, %s: it has %d as the last one of interface %d, and a reader of all %d", c.what, when, want, index, got)
						}
						numbers[index] = got
					}
					unlock()
				}
				return numbers
			}
			ours := newWriter(d)
			write(ours, 1)
			compare(ours, "at first")
			write(ours, 1, 2) // of which it reads nothing
			size := ours.size
			if info, err := os.Stat(d.path(newer)); err != nil || info.Size() != size {
				t.Errorf("it knows %d bytes of %v, %v", size, info, err)
			}
			compare(ours, "after changes of its own")
			if closes {
				ours.close()
			}
			c.others(t, d, foreign)
			if looks {
				was := compare(ours, "after that")
				if lost := was[1] == 0; lost != c.lost {
					t.Errorf("%s: the last one of interface 1 is %d", c.what, was[1])
				}
			}
			write(ours, 3)
			if got := compare(ours, "after one more change"); got[3] != highest {
				t.Errorf("%s: what it has written isn't there: %v", c.what, got)
			}
			write(ours, 3)
			compare(ours, "after two more changes")
			ours.close()
			write(ours, 1)
			if got := compare(ours, "closed meanwhile"); got[1] != highest {
				t.Errorf("%s: what it has written after close isn't there: %v", c.what, got)
			}
			ours.close()
		}
	}
}

// TestLocked: the lock that stays open is the one of others, also where the file was replaced.
func TestLocked(t *testing.T) {
	d := directory(t.TempDir())
	ours, other := newWriter(d), newWriter(d)
	defer ours.close()
	defer other.close()
	for range 2 {
		unlock, err := ours.lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, err := other.lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("two have the lock: %v", err)
		}
		cancel()
		unlock()
		unlock, err = other.lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		unlock()
		if err := os.Remove(d.path("lock")); err != nil {
			t.Fatal(err)
		}
	}
}
