package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// report follows the tests' output: shows it as it comes, and keeps the verdicts.
type report struct {
	out    io.Writer
	suites []suite
	done   []*result
	now    *result // the suite that is running
	conv   *converter
}

// result is what came out of one suite.
type result struct {
	pkg     string
	started time.Time
	took    time.Duration
	passed  int
	failed  []string // tests, and what else made the suite fail
	skipped []string
	running []string // tests without a verdict yet
	benched int
}

func (r *result) ok() bool { return len(r.failed)+len(r.skipped) == 0 }

func newReport(out io.Writer, suites []suite) *report { return &report{out: out, suites: suites} }

// Write takes the payload's output.
func (r *report) Write(p []byte) (int, error) {
	if r.conv == nil {
		return r.out.Write(p) // before the first suite, or between two
	}
	return r.conv.Write(p)
}

// mark takes the payload's marks.
func (r *report) mark(m mark) {
	switch m.kind {
	case markStart:
		i := slices.IndexFunc(r.suites, func(s suite) bool { return s.n == m.suite })
		r.now = &result{pkg: r.suites[i].pkg, started: time.Now()}
		fmt.Fprintf(r.out, "=== PACKAGE %s\n", r.now.pkg)
		conv, err := startConverter(r.now.pkg, r.out, r.now)
		if err != nil {
			r.now.failed = append(r.now.failed, err.Error())
			return
		}
		r.conv = conv
	case markExit:
		r.close(m.status, "")
	}
}

// finish ends a suite that the VM did not live to end; err says how the VM ended.
func (r *report) finish(err error) {
	if r.now != nil {
		r.close(-1, fmt.Sprint(err))
	}
}

func (r *report) close(status int, why string) {
	if r.conv != nil {
		if err := r.conv.close(); err != nil {
			r.now.failed = append(r.now.failed, err.Error())
		}
		r.conv = nil
	}
	r.now.took = time.Since(r.now.started)
	r.now.end(status, why)
	r.done = append(r.done, r.now)
	r.now = nil
}

// end turns an exit status into a failure where no test has told one.
func (r *result) end(status int, why string) {
	for _, test := range r.running {
		reason := why
		if reason == "" {
			reason = fmt.Sprintf("no verdict, the package's exit status was %d", status)
		}
		r.failed = append(r.failed, fmt.Sprintf("%s (%s)", test, reason))
	}
	r.running = nil
	if status != 0 && len(r.failed) == 0 {
		if why == "" {
			why = fmt.Sprintf("exit status %d", status)
		}
		r.failed = append(r.failed, why)
	}
}

// summary prints the verdicts, adds them to the total and says whether all is well. The last
// line is "N passed, N failed" and nothing else.
func (r *report) summary(w io.Writer, all *total) bool {
	passed, failed, benched := 0, 0, 0
	fmt.Fprintln(w)
	for _, d := range r.done {
		passed += d.passed
		benched += d.benched
		failed += len(d.failed) + len(d.skipped)
		if d.ok() {
			fmt.Fprintf(w, "ok  \t%s\t%.2fs\n", d.pkg, d.took.Seconds())
			continue
		}
		fmt.Fprintf(w, "FAIL\t%s\t%.2fs\n", d.pkg, d.took.Seconds())
		for _, name := range d.failed {
			fmt.Fprintln(w, "    FAIL", name)
		}
		for _, name := range d.skipped {
			fmt.Fprintln(w, "    SKIP", name, "(in the VM nothing skips: this is a failure)")
		}
	}
	for _, s := range r.suites[len(r.done):] {
		fmt.Fprintf(w, "FAIL\t%s\t(not run)\n", s.pkg)
		failed++
	}
	if passed+failed+benched == 0 {
		fmt.Fprintln(w, "FAIL\tno test was run")
		failed++
	}
	if benched > 0 {
		fmt.Fprintf(w, "%d benchmarks\n", benched)
	}
	fmt.Fprintf(w, "%d passed, %d failed\n", passed, failed)
	all.mu.Lock()
	defer all.mu.Unlock()
	all.passed, all.failed = all.passed+passed, all.failed+failed
	return failed == 0
}

// total is what has come out of all VMs.
type total struct {
	mu             sync.Mutex
	passed, failed int
}

func (t *total) print(w io.Writer) {
	fmt.Fprintf(w, "\n%d passed, %d failed\n", t.passed, t.failed)
}

// event is one line of what go tool test2json prints; see its documentation.
type event struct {
	Action string
	Test   string
	Output string
}

var benchRE = regexp.MustCompile(`^(Benchmark\S+)?\s*\t?\s*[0-9]+\t\s*[0-9.]+ ns/op`)

// event takes one event in and shows its output.
func (r *result) event(e event, out io.Writer) error {
	without := func(tests []string) []string {
		return slices.DeleteFunc(tests, func(t string) bool { return t == e.Test })
	}
	switch e.Action {
	case "output":
		if benchRE.MatchString(e.Output) {
			r.benched++
		}
		// Said after each change of the running test, for programs to read.
		if strings.HasPrefix(e.Output, "=== NAME ") {
			return nil
		}
		_, err := io.WriteString(out, e.Output)
		return err
	case "run":
		if !strings.HasPrefix(e.Test, "Benchmark") {
			r.running = append(r.running, e.Test)
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			return nil // the package as a whole: its exit status says more
		}
		known := slices.Contains(r.running, e.Test)
		r.running = without(r.running)
		switch {
		case e.Action == "fail":
			r.failed = append(r.failed, e.Test)
		case e.Action == "skip":
			r.skipped = append(r.skipped, e.Test)
		case known:
			r.passed++
		}
	}
	return nil
}

// converter is a go tool test2json at work on one suite's output. It knows a
// verdict from a test's output that looks like one.
type converter struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	result chan error // of the goroutine that reads the events
}

func startConverter(pkg string, out io.Writer, r *result) (*converter, error) {
	cmd := exec.Command("go", "tool", "test2json", "-p", pkg)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("go tool test2json: %w", err)
	}
	c := &converter{cmd: cmd, stdin: stdin, result: make(chan error, 1)}
	go func() {
		err := readEvents(stdout, func(e event) error { return r.event(e, out) })
		_, _ = io.Copy(io.Discard, stdout) // never let the tool block
		c.result <- err
	}()
	return c, nil
}

func readEvents(in io.Reader, take func(event) error) error {
	for dec := json.NewDecoder(in); ; {
		var e event
		if err := dec.Decode(&e); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("go tool test2json: %w", err)
		}
		if err := take(e); err != nil {
			return err
		}
	}
}

func (c *converter) Write(p []byte) (int, error) { return c.stdin.Write(p) }

// close waits until the last event is taken in.
func (c *converter) close() error {
	_ = c.stdin.Close()
	err := <-c.result
	if waitErr := c.cmd.Wait(); err == nil && waitErr != nil {
		err = fmt.Errorf("go tool test2json: %w", waitErr)
	}
	return err
}
