package observe

import (
	"context"
	"io"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Arrival is a packet as it came to an interface.
type Arrival struct {
	Time   time.Time
	Length int    // in bytes
	Data   []byte // its first bytes, as many as of a [Trace]
}

// Arrivals are the packets of a [Live] with [AtArrival], as long as the interface keeps its programs, or
// the lack of them. It is for one goroutine at a time.
type Arrivals struct {
	live   *Live
	ifname string
	end    time.Time
	empty  bool // the interface has no program
	over   bool
}

// OpenArrivals begins to capture. The capture ends after that time.
//
// Errors: as [OpenLive].
func OpenArrivals(ctx context.Context, ifname string, during time.Duration) (*Arrivals, error) {
	live, err := OpenLive(ctx, []string{ifname}, LiveOptions{At: AtArrival})
	if err != nil {
		return nil, err
	}
	return &Arrivals{live: live, ifname: ifname, end: time.Now().Add(during), empty: live.interfaces[0].tracer.chainID() == 0}, nil
}

// Next waits for a packet. At the end of the capture, which comes with that of ctx if not before,
// it returns what has come until then, and after that [io.EOF]. Error: [xdp.ErrBusy] if a program
// has come to an interface that had none, or the last one has left. What comes in then can't be
// captured in the same way.
func (a *Arrivals) Next(ctx context.Context) (*Arrival, error) {
	capturing, cancel := context.WithDeadline(ctx, a.end)
	defer cancel()
	for len(a.live.queue) == 0 {
		if a.over {
			return nil, io.EOF
		}
		err := a.live.wait(capturing)
		if capturing.Err() != nil {
			a.over = true
			err = a.live.Stop(context.WithoutCancel(ctx))
		}
		if err != nil {
			return nil, err
		}
		switch t := a.live.interfaces[0].tracer; {
		case a.over:
		case a.empty && (t == nil || t.chainID() != 0):
			return nil, a.changed("an XDP program has come to " + a.ifname)
		case !a.empty && (t == nil || t.chainID() == 0):
			return nil, a.changed("the last XDP program has left " + a.ifname)
		}
	}
	t := a.live.take()
	return &Arrival{t.Time, t.Length, t.Data}, nil
}

func (a *Arrivals) changed(what string) error {
	return &xdp.Error{Kind: xdp.ErrBusy, Msg: what + " while packets were captured", Remedy: "try again"}
}

// Lost is how many packets came too fast to be captured.
func (a *Arrivals) Lost() uint64 { return a.live.Lost() }

// Missed is how many packets weren't captured because the chain had just been swapped.
func (a *Arrivals) Missed() uint64 { return a.live.Missed() }

// Close ends the capture.
func (a *Arrivals) Close() error { return a.live.Close() }
