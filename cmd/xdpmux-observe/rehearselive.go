package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/xdpmux/xdpmux/cmd/internal/capture"
	"github.com/xdpmux/xdpmux/cmd/internal/observer"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

// rehearseLive sends the packets that come to each interface through its chains, of all
// interfaces at the same time.
func rehearseLive(ctx context.Context, out *output.Printer, request observer.Rehearsal, files *captureFiles) ([]*rehearsalJSON, error) {
	all := make([]*rehearsalJSON, len(request.Changes))
	errs := make([]error, len(request.Changes))
	// If one fails, the others needn't go on.
	whole, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	for i, change := range request.Changes {
		running.Add(1)
		go func() {
			defer running.Done()
			all[i], errs[i] = rehearseChange(whole, change, files, func(r *rehearsal) error {
				return r.live(whole, out, request)
			})
			if errs[i] != nil {
				cancel()
			}
		}()
	}
	running.Wait()
	return all, errors.Join(errs...)
}

// live sends each packet through both chains that comes in. Each runs as soon as it is there. So
// the maps of the chain as it is hold at any time what the running ones do, as far as a copy
// can. If ctx ends, so does the capture.
func (r *rehearsal) live(ctx context.Context, out *output.Printer, request observer.Rehearsal) (err error) {
	name := r.Interface.Name
	arrivals, err := observe.OpenArrivals(ctx, name, request.Live)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, arrivals.Close()) }()
	out.Say("xdpmux: ", fmt.Sprintf("captures what comes to %s for %v", name, request.Live))
	var odd uint64 // packets of a length that no test run takes
	cut := 0       // packets of which only the first part is there
	for n := 1; ; n++ {
		a, err := arrivals.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if len(a.Data) < observe.MinLen || len(a.Data) > r.MaxLen() {
			odd++
			continue
		}
		if len(a.Data) < a.Length {
			cut++
		}
		if err := r.run(n, capture.Packet{Time: a.Time, Data: a.Data, Length: a.Length, LinkType: capture.Ethernet}); err != nil {
			return err
		}
	}
	lost, missed := arrivals.Lost(), arrivals.Missed()
	r.result.Missed = lost + missed + odd
	for _, w := range []struct {
		n   uint64
		why string
	}{
		{lost, "came too fast"},
		{missed, "came while the chain was being changed"},
		{odd, fmt.Sprintf("have a length that no test run takes: that is %d to %d bytes", observe.MinLen, r.MaxLen())},
	} {
		if w.n > 0 {
			out.Warn("%d packets of %s didn't run, as they %s", w.n, name, w.why)
		}
	}
	if cut > 0 {
		out.Warn("%d packets of %s are cut: the programs see the first part of them, and may decide otherwise about the whole", cut, name)
	}
	return nil
}
