package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

// Of jobs that run at once each one's output is in one piece, the first one's as it
// comes, and one that fails makes all fail.
func TestRunJobs(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second error
		want          string // the ends of the first and the second
	}{
		{"both pass", nil, nil, "ok ok"},
		{"the first fails", errors.New("panic"), nil, "FAIL ok"},
		{"the second fails", nil, exitStatus(1), "ok FAIL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var shown strings.Builder
			begun, ended := make(chan bool), make(chan bool)
			jobs := []job{
				func(out, _ io.Writer) error {
					fmt.Fprintln(out, "first begins")
					close(begun)
					<-ended
					if got := shown.String(); !strings.Contains(got, "first begins") || strings.Contains(got, "second") {
						t.Errorf("while the first runs: %q", got)
					}
					fmt.Fprintln(out, "first ends")
					return c.first
				},
				func(out, complaints io.Writer) error {
					<-begun
					fmt.Fprintln(out, "second begins")
					fmt.Fprintln(complaints, "second ends")
					close(ended)
					return c.second
				},
			}
			err := runJobs([]string{"6.1", "6.12"}, jobs, 2, &shown)
			if (err != nil) != (c.first != nil || c.second != nil) {
				t.Errorf("error %v", err)
			}
			first, second, _ := strings.Cut(c.want, " ")
			said := ""
			if c.first != nil {
				said = "vm: panic\n"
			}
			want := "=== KERNEL 6.1\nfirst begins\nfirst ends\n" + said + "=== KERNEL 6.1: " + first + " in 0s\n" +
				"=== KERNEL 6.12\nsecond begins\nsecond ends\n=== KERNEL 6.12: " + second + " in 0s\n"
			if got := regexp.MustCompile(`in \d+s`).ReplaceAllString(shown.String(), "in 0s"); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// No more jobs run at once than may.
func TestRunJobsLimit(t *testing.T) {
	var running, most atomic.Int32
	var jobs []job
	for range 6 {
		jobs = append(jobs, func(io.Writer, io.Writer) error {
			defer running.Add(-1)
			if now := running.Add(1); now > most.Load() {
				most.Store(now)
			}
			runtime.Gosched()
			return nil
		})
	}
	if err := runJobs(strings.Fields("1 2 3 4 5 6"), jobs, 2, io.Discard); err != nil || most.Load() > 2 {
		t.Errorf("%d ran at once, %v", most.Load(), err)
	}
}

// A package that is run once is left out, and the others keep their numbers. A test that is
// run once is one that the others skip.
func TestWithout(t *testing.T) {
	skip := []string{"test/a", "TestD", "test/d", "TestE"}
	left := without([]suite{{rel: "test/a"}, {rel: "test/ab", n: 1}, {rel: "c", n: 2}}, skip)
	if len(left) != 2 || left[0].n != 1 || left[1].n != 2 {
		t.Errorf("%+v", left)
	}
	if script := payloadScript(options{}, nil, left, skip, "N"); strings.Count(script, ` '-test.skip=^(TestD|TestE)$'`) != 2 {
		t.Errorf("the tests are not skipped twice:\n%s", script)
	}
	if script := payloadScript(options{}, nil, left, []string{"test/a"}, "N"); strings.Contains(script, "-test.skip") {
		t.Errorf("tests are skipped:\n%s", script)
	}
}

// Each suite is in one part, and the parts are about as long as each other.
func TestSplit(t *testing.T) {
	suites := []suite{{rel: "a", size: 30}, {rel: "b", n: 1, size: 10}, {rel: "c", n: 2, size: 70}, {rel: "d", n: 3, size: 30}}
	for n, want := range map[int]string{1: "[a b c d]", 2: "[c] [a b d]", 3: "[c] [a b] [d]", 9: "[c] [a] [d] [b]"} {
		var got []string
		for _, part := range split(suites, n) {
			var names []string
			for _, s := range part {
				names = append(names, s.rel)
			}
			got = append(got, fmt.Sprint(names))
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%d parts: %s, want %s", n, got, want)
		}
	}
}
