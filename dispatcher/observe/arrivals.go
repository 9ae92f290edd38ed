package observe

import (
	"context"
	"io"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Arrival is a packet as it came to an interface.
type Arrival struct {
	Time   time.Time
	Length int    // in bytes
	Data   []byte // its first bytes, as many as of a [Trace]
}

// Arrivals captures what an interface receives, before a program of its chain has seen it. What
// the chain drops is among it. It follows the chain when others change it, and changes nothing
// itself. It is for one goroutine at a time.
//
// The packets of an interface without XDP are those of its packet socket (packet(7)). The kernel
// may have put several of them together before (GRO).
type Arrivals struct {
	ifindex int
	ifname  string
	end     time.Time
	live    *Live // nil if the interface has no program
	tap     *tap  // nil if it has one
	over    bool
	looked  time.Time
}

// OpenArrivals begins to capture. The capture ends after that time.
//
// Errors: as [Open], but an interface without a program is none.
func OpenArrivals(ctx context.Context, ifname string, during time.Duration) (*Arrivals, error) {
	c, err := dispatcher.Status(ctx, ifname)
	if err != nil {
		return nil, err
	}
	a := &Arrivals{ifindex: c.Interface.Index, ifname: ifname, looked: time.Now()}
	if main(c) == nil {
		a.tap, err = openTap(a.ifindex)
	} else {
		a.live = &Live{ifindex: a.ifindex, arrives: true}
		err = a.live.start(c)
	}
	a.end = time.Now().Add(during)
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Next waits for a packet. At the end of the capture, which comes with that of ctx if not before,
// it returns what has come until then, and after that [io.EOF]. Error: [xdp.ErrBusy] if a program
// has come to an interface that had none, or the last one has left. What comes in then can't be
// captured in the same way.
func (a *Arrivals) Next(ctx context.Context) (*Arrival, error) {
	if a.tap != nil {
		return a.nextOfTap(ctx)
	}
	capturing, cancel := context.WithDeadline(ctx, a.end)
	defer cancel()
	for len(a.live.queue) == 0 {
		if a.over {
			return nil, io.EOF
		}
		if a.live.tracer == nil {
			return nil, a.changed("the last XDP program has left " + a.ifname)
		}
		err := a.live.wait(capturing)
		if capturing.Err() != nil {
			a.over = true
			err = a.live.Stop(context.WithoutCancel(ctx))
		}
		if err != nil {
			return nil, err
		}
	}
	t := a.live.take()
	return &Arrival{t.Time, t.Length, t.Data}, nil
}

func (a *Arrivals) nextOfTap(ctx context.Context) (*Arrival, error) {
	for {
		if time.Since(a.looked) >= lookAgain {
			a.looked = time.Now()
			switch s, err := lookAt(a.ifindex); {
			case err != nil:
				return nil, err
			case s.name == "":
				return nil, &xdp.Error{Kind: xdp.ErrNoInterface, Msg: "the interface is gone"}
			case s.mainID != 0:
				return nil, a.changed("an XDP program has come to " + a.ifname)
			}
		}
		if now := time.Now(); ctx.Err() != nil && now.Before(a.end) {
			a.end = now
		}
		over := !time.Now().Before(a.end)
		p, err := a.tap.receive(min(lookAgain, max(0, time.Until(a.end))))
		switch {
		case err != nil:
			return nil, err
		case p != nil && p.Time.After(a.end), p == nil && over:
			return nil, io.EOF
		case p != nil:
			return p, nil
		}
	}
}

func (a *Arrivals) changed(what string) error {
	return &xdp.Error{Kind: xdp.ErrBusy, Msg: what + " while packets were captured", Remedy: "try again"}
}

// Lost is how many packets came too fast to be captured.
func (a *Arrivals) Lost() uint64 {
	if a.tap != nil {
		return a.tap.lost()
	}
	return a.live.Lost()
}

// Missed is how many packets weren't captured because the chain had just been swapped.
func (a *Arrivals) Missed() uint64 {
	if a.tap != nil {
		return 0
	}
	return a.live.Missed()
}

// Close ends the capture.
func (a *Arrivals) Close() error {
	if a.tap != nil {
		return a.tap.close()
	}
	return a.live.Close()
}
