package exporter

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/xdpmux/xdpmux/cmd/internal/rates"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

// sampler reads the counters at an interval for all who watch, and only while somebody does.
type sampler struct {
	read     func() *observe.Snapshot
	declared func() *Declared // nil: nothing is
	interval time.Duration

	mu       sync.Mutex
	watchers int
	running  bool // takes a sample at each interval
	before   *observe.Snapshot
	sample   *sample
}

// sample is what one reading has brought. Each part of it is rendered once, for all who ask.
type sample struct {
	rates.Report
	declared *Declared     // nil: nobody keeps anything
	next     chan struct{} // closed when there is a newer one

	mu       sync.Mutex
	rendered map[string]string // by the interface asked for
}

// newest is the newest sample. Where nobody watches it is read now, and has rates since the one
// before.
func (s *sampler) newest() *sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sample == nil || s.watchers == 0 && time.Since(s.sample.Time) > s.interval {
		s.take()
	}
	return s.sample
}

// take makes a sample. The caller has the lock.
func (s *sampler) take() {
	now := s.read()
	if s.before == nil || now.Time.Sub(s.before.Time) > staleIntervals*s.interval {
		s.before = now // what happened meanwhile says nothing of a rate
	}
	old := s.sample
	var declared *Declared
	if s.declared != nil {
		declared = s.declared()
	}
	s.sample = &sample{Report: rates.Of(s.before, now), declared: declared, next: make(chan struct{}), rendered: map[string]string{}}
	s.before = now
	if old != nil {
		close(old.next)
	}
}

// staleIntervals is for how many intervals the counters of before are good for a rate.
const staleIntervals = 10

// maxWatchers is how many may watch at a time. A page that stays open costs a connection for as long.
const maxWatchers = 500

var errTooMany = fmt.Errorf("%d pages follow already, which is the limit", maxWatchers)

// watch gives each sample, the newest first, until ctx ends or each fails. It fails with errTooMany
// if maxWatchers watch already.
func (s *sampler) watch(ctx context.Context, each func(*sample) error) error {
	s.mu.Lock()
	if s.watchers >= maxWatchers {
		s.mu.Unlock()
		return errTooMany
	}
	s.watchers++
	if !s.running {
		s.running = true
		go s.run()
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.watchers--
		s.mu.Unlock()
	}()
	now := s.newest()
	for {
		if err := each(now); err != nil {
			return err
		}
		select {
		case <-now.next:
			now = s.newest()
		case <-ctx.Done():
			return nil
		}
	}
}

// run takes samples until nobody watches.
func (s *sampler) run() {
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	for range ticker.C {
		s.mu.Lock()
		if s.watchers == 0 {
			s.running = false
			s.mu.Unlock()
			return
		}
		s.take()
		s.mu.Unlock()
	}
}
