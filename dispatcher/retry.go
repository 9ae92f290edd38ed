package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// errLostRace says that somebody else has changed the chain meanwhile.
var errLostRace = errors.New("the chain was changed by others meanwhile")

// A lost race is started over until both patience and leastTries are used up. Where eight
// processes change one chain, one try of eight wins, and on a busy machine each takes long.
const (
	patience   = 20 * time.Second
	leastTries = 60

	// The longest waits between two tries, at first and later.
	firstWait = time.Millisecond
	longWait  = 64 * time.Millisecond
)

// untilWon calls try, and again with what the interface has then, until the race is
// won or the patience ends.
func untilWon(ctx context.Context, l device.Device, try func(device.Device) error) error {
	start, tries := time.Now(), 0
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		err := try(l)
		if !errors.Is(err, errLostRace) {
			return err
		}
		took := time.Since(start)
		if tries++; took > patience && tries >= leastTries {
			return &xdp.Error{Kind: xdp.ErrBusy, Err: err,
				Msg:    fmt.Sprintf("the chain on %s is being changed by others all the time, and %v of trying were not enough", l.Name, took.Round(time.Second)),
				Remedy: "try again"}
		}
		// Two processes that lose to each other must not start over at the same moment.
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rand.N(wait)):
		}
		if l, err = l.Again(); err != nil {
			return err
		}
	}
}
