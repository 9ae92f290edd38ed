package main

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// What a test binary prints with -test.v=test2json, through the real tool, to what
// is shown and summed up.
func TestReport(t *testing.T) {
	const (
		pass  = "\x16=== RUN   TestA\n\x16=== RUN   TestA/sub\n\x16--- PASS: TestA/sub (0.00s)\n\x16--- PASS: TestA (0.00s)\n\x16=== NAME  \n\x16PASS\n"
		fail  = "\x16=== RUN   TestB\n    b_test.go:1: broken\n\x16--- FAIL: TestB (0.00s)\n\x16=== NAME  \n\x16FAIL\n"
		skip  = "\x16=== RUN   TestC\n    c_test.go:1: no\n\x16--- SKIP: TestC (0.00s)\n\x16=== NAME  \n\x16PASS\n"
		end   = "\x16=== NAME  \n\x16PASS\n"
		half  = "\x16=== RUN   TestD\nsome words"
		talk  = "\x16=== RUN   TestE\n--- FAIL: TestNot (0.00s)\nno newline\x16--- PASS: TestE (0.00s)\n\x16=== NAME  \n\x16PASS\n"
		bench = "goos: linux\n\x16=== RUN   BenchmarkF\nBenchmarkF\nBenchmarkF-2   \t 100\t 51.2 ns/op\n\x16=== NAME  \n\x16PASS\n"
	)
	for _, c := range []struct {
		name   string
		output string
		status int   // the suite's; -1: the VM ended first
		vmErr  error // why
		ok     bool
		want   []string // lines of the summary
	}{
		{"pass", pass, 0, nil, true, []string{"ok  \tx/y\t", "2 passed, 0 failed"}},
		{"fail", pass + fail, 1, nil, false, []string{"FAIL\tx/y\t", "    FAIL TestB", "2 passed, 1 failed"}},
		{"skip", pass + skip, 0, nil, false, []string{"    SKIP TestC (in the VM nothing skips", "2 passed, 1 failed"}},
		{"leak", pass, 1, nil, false, []string{"    FAIL exit status 1", "2 passed, 1 failed"}},
		{"exit", half, 3, nil, false, []string{"    FAIL TestD (no verdict, the package's exit status was 3)", "0 passed, 1 failed"}},
		{"exit 0", half, 0, nil, false, []string{"    FAIL TestD (no verdict", "0 passed, 1 failed"}},
		{"hang", strings.TrimSuffix(pass, end) + half, -1, errors.New("no end within 1s"), false, []string{"    FAIL TestD (no end within 1s)", "2 passed, 1 failed"}},
		{"looks like a failure", talk, 0, nil, true, []string{"1 passed, 0 failed"}},
		{"nothing", "testing: warning: no tests to run\nPASS\n", 0, nil, false, []string{"FAIL\tno test was run", "0 passed, 1 failed"}},
		{"benchmark", bench, 0, nil, true, []string{"1 benchmarks", "0 passed, 0 failed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var shown, summary strings.Builder
			rep := newReport(&shown, []suite{{pkg: "x/y"}})
			rep.mark(mark{kind: markBoot})
			rep.mark(mark{kind: markStart})
			if _, err := io.WriteString(rep, c.output); err != nil {
				t.Fatal(err)
			}
			if c.status >= 0 {
				rep.mark(mark{kind: markExit, status: c.status})
			}
			rep.finish(c.vmErr)
			if ok := rep.summary(&summary, &total{}); ok != c.ok {
				t.Errorf("ok is %v", ok)
			}
			for _, want := range c.want {
				if !strings.Contains(summary.String(), want) {
					t.Errorf("no %q in:\n%s", want, summary.String())
				}
			}
			if last := c.want[len(c.want)-1] + "\n"; !strings.HasSuffix(summary.String(), "\n"+last) {
				t.Errorf("the last line is not %q:\n%s", last, summary.String())
			}
			if want := strings.ReplaceAll(c.output, "\x16", ""); !strings.Contains(shown.String(), strings.TrimSpace(strings.SplitAfterN(want, "\n", 2)[0])) {
				t.Errorf("not all output is shown: %q", shown.String())
			}
		})
	}
}

// A suite that the VM did not come to is a failure too.
func TestReportNotRun(t *testing.T) {
	rep := newReport(io.Discard, []suite{{pkg: "x/y"}, {pkg: "x/z", n: 1}})
	rep.finish(errNoDone)
	var summary strings.Builder
	if rep.summary(&summary, &total{}) || !strings.HasSuffix(summary.String(), "\n0 passed, 2 failed\n") {
		t.Errorf("got:\n%s", summary.String())
	}
}
