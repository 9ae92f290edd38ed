package xdp_test

import (
	"errors"
	"fmt"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// A loader whose users say --generic for skb mode tells them so.
func ExampleRemedyWith() {
	skb := xdp.Hint{To: xdp.HintMode, Mode: xdp.ModeSKB}
	var err error = (&xdp.Error{Kind: xdp.ErrModeNotSupported, Msg: "eth0 can't run XDP programs in native mode"}).
		Advise("try another mode: %v", skb)

	var e *xdp.Error
	if errors.As(err, &e) {
		fmt.Println(e.Remedy)
		fmt.Println(xdp.RemedyWith(e.Remedy, e.Hints, func(h xdp.Hint) string {
			if h == skb {
				return "--generic"
			}
			return h.String()
		}))
	}
	// Output:
	// try another mode: skb mode
	// try another mode: --generic
}
