package dispatcher

import (
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Loss says which packets the driver of an interface drops before the program on it sees them: a
// native program without frags support doesn't get those that fill more than one buffer.
type Loss struct {
	MTU int `json:"mtu"` // of the interface

	// LostAbove is there where the MTU is too large for the program: the driver drops IP
	// packets of more bytes.
	LostAbove    int  `json:"lost_above,omitempty"`
	MayLoseAbove int  `json:"-"` // the same, where nobody can tell whether the program has frags support
	FragsWouldDo bool `json:"-"` // the driver gives packets of several buffers to a program that takes them
	LostForGood  bool `json:"-"` // the driver goes on dropping them without the program
}

// lossOf finds out which packets a program without frags support on the interface doesn't get. A
// driver that refuses such an MTU, or such a program, drops none.
func lossOf(l device.Device) Loss {
	loss := Loss{MTU: l.Mtu}
	buffer := l.SingleBuffer()
	if !buffer.Drops || l.Mtu <= buffer.MTU {
		return loss
	}
	loss.LostAbove, loss.LostForGood = buffer.MTU, buffer.Stays
	f, err := l.XDPFeatures()
	loss.FragsWouldDo = err == nil && f.RxSG()
	return loss
}

// lossOfLone is lossOf for the program without a dispatcher that is on the interface, whatever its
// frags support is.
func lossOfLone(l device.Device) Loss {
	loss := lossOf(l)
	if loss.LostAbove == 0 {
		return loss
	}
	if l.Mode != xdp.ModeNative {
		return Loss{MTU: l.Mtu}
	}
	fd, err := loaded.OpenProg(l.ProgID)
	if err != nil {
		return Loss{MTU: l.Mtu} // it has gone, or the caller can't see it
	}
	defer fd.Close()
	switch has, known := protocol.HasFrags(fd.Int()); {
	case !known:
		loss.LostAbove, loss.MayLoseAbove = 0, loss.LostAbove
	case has:
		return Loss{MTU: l.Mtu}
	}
	return loss
}

// inDriver says whether a program that is attached in the mode is run by the driver. Where the
// kernel chooses, that is so for each driver that can; kernels before 6.3 don't tell which can.
func inDriver(l device.Device, mode xdp.Mode) bool {
	if mode != xdp.ModeUnspecified {
		return mode == xdp.ModeNative
	}
	f, err := l.XDPFeatures()
	return err == nil && f.Basic()
}

const everyFrags = `put every program of the chain into SEC("xdp.frags")`

// explain is the error of packets that are lost; nil: none are. forGood is the remedy where the
// driver goes on losing them, frags and other are remedies beside a lower MTU.
func (l Loss) explain(words, forGood, frags, other string) error {
	if l.LostAbove == 0 && l.MayLoseAbove == 0 {
		return nil
	}
	e := &xdp.Error{Kind: xdp.ErrModeNotSupported, Msg: words}
	if l.LostForGood {
		return e.Advise("%s", forGood)
	}
	remedies := []string{"lower the MTU"}
	if l.FragsWouldDo {
		remedies = append(remedies, frags)
	}
	return e.Advise(alternatives(append(remedies, other)), xdp.Hint{To: xdp.HintMode, Mode: xdp.ModeSKB})
}

// alternatives are "a", "a, or b", "a, b, or c".
func alternatives(all []string) string {
	last := len(all) - 1
	if last == 0 {
		return all[0]
	}
	return strings.Join(all[:last], ", ") + ", or " + all[last]
}
