package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// errLostRace says that somebody else has changed the chain meanwhile.
var errLostRace = errors.New("the chain was changed by others meanwhile")

// How long lost races are started over, and how long to wait in between at first
// and at most.
const (
	patience  = 20 * time.Second
	firstWait = time.Millisecond
	longWait  = 64 * time.Millisecond
)

// untilWon calls try, and again with what the interface has then, until the race is
// won or the patience ends.
func untilWon(ctx context.Context, l link, try func(link) error) error {
	deadline := time.Now().Add(patience)
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		err := try(l)
		if !errors.Is(err, errLostRace) {
			return err
		}
		if time.Now().After(deadline) {
			return &Error{Kind: ErrBusy, Err: err,
				Msg:    fmt.Sprintf("the chain on %s is being changed by others all the time, and %v of trying were not enough", l.Name, patience),
				Remedy: "try again"}
		}
		// Two that lose to each other must not start over at the same moment.
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rand.N(wait)):
		}
		if l, err = l.again(); err != nil {
			return err
		}
	}
}
