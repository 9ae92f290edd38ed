package fleet

import (
	"errors"
	"net/http"
)

type rt = http.RoundTripper

// untilDead passes requests on until their sender is dead.
type untilDead struct {
	to   rt
	dead <-chan struct{}
}

func (u untilDead) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-u.dead:
		return nil, errors.New("the sender is dead")
	default:
		return u.to.RoundTrip(r)
	}
}
