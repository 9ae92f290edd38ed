package output

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// grace is how long a reader has after a signal to take what is being written.
const grace = 500 * time.Millisecond

// Stream is standard output or standard error. Writing may wait for a reader, such as the
// other end of a full pipe. A Stream waits only until ctx ends.
type Stream struct {
	ctx  context.Context
	file *os.File

	mutex sync.Mutex
	stuck bool // a write was given up: it ends with the process
}

// NewStream writes to file.
func NewStream(ctx context.Context, file *os.File) *Stream { return &Stream{ctx: ctx, file: file} }

// Write writes to the file. If that takes longer than a little after the end of ctx, it
// fails.
func (s *Stream) Write(b []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.stuck {
		return 0, s.ctx.Err()
	}
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	b = slices.Clone(b) // it may outlive the call
	go func() {
		n, err := s.file.Write(b)
		done <- result{n, s.readerGone(err)}
	}()
	select {
	case r := <-done:
		return r.n, r.err
	case <-s.ctx.Done():
	}
	select {
	case r := <-done:
		return r.n, r.err
	case <-time.After(grace):
		s.stuck = true
		return 0, s.ctx.Err()
	}
}

// readerGone turns the EIO that a terminal answers once it is lost into EPIPE: SIGHUP, which a
// lost terminal sends too, may come after it, or to another process.
func (s *Stream) readerGone(err error) error {
	if !errors.Is(err, syscall.EIO) {
		return err
	}
	if info, statErr := s.file.Stat(); statErr != nil || info.Mode()&os.ModeCharDevice == 0 {
		return err
	}
	return fmt.Errorf("the terminal is lost: %w", syscall.EPIPE)
}

// Fd is the file's, so that package terminal can ask it.
func (s *Stream) Fd() uintptr { return s.file.Fd() }
