package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"
)

// job is one VM's life, with where its output and its complaints go.
type job func(out, complaints io.Writer) error

// atOnce is how many VMs run at once. A VM is one thread that waits a third of its time, so
// that one more than there are processors keeps these busy.
func atOnce() int { return runtime.NumCPU() + 1 }

// runJobs runs the jobs, limit of them at once, and shows the output of one after the
// other: that of the first as it comes, and each next one's when those before it have ended.
// It fails if one of them does.
func runJobs(names []string, jobs []job, limit int, stdout io.Writer) error {
	q := &queue{out: stdout}
	for range jobs {
		q.turns = append(q.turns, &turn{queue: q})
	}
	errs := make([]error, len(jobs))
	var all sync.WaitGroup
	free := make(chan bool, limit)
	for i, run := range jobs {
		free <- true
		all.Add(1)
		go func() {
			defer all.Done()
			defer func() { <-free }()
			// qemu is killed with the thread that starts it: see main.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			t, start := q.turns[i], time.Now()
			fmt.Fprintf(t, "=== KERNEL %s\n", names[i])
			errs[i] = run(t, t)
			var told exitStatus
			if errs[i] != nil && !errors.As(errs[i], &told) {
				fmt.Fprintln(t, "vm:", errs[i])
			}
			fmt.Fprintf(t, "=== KERNEL %s: %s in %v\n", names[i], map[bool]string{true: "ok", false: "FAIL"}[errs[i] == nil], time.Since(start).Round(time.Second))
			t.close()
		}()
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return exitStatus(1)
		}
	}
	return nil
}

// queue shows one output after the other.
type queue struct {
	mu    sync.Mutex
	out   io.Writer
	turns []*turn
	now   int
}

// turn is the output of one job. What is written before its turn is kept.
type turn struct {
	queue  *queue
	kept   bytes.Buffer
	closed bool
}

func (t *turn) Write(b []byte) (int, error) {
	t.queue.mu.Lock()
	defer t.queue.mu.Unlock()
	if t.queue.turns[t.queue.now] != t {
		return t.kept.Write(b)
	}
	return t.queue.out.Write(b)
}

// close ends a job's output. The last one stays its own turn.
func (t *turn) close() {
	q := t.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	t.closed = true
	for q.now < len(q.turns)-1 && q.turns[q.now].closed {
		q.now++
		_, _ = q.turns[q.now].kept.WriteTo(q.out)
	}
}
