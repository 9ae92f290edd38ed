package xdp

import (
	"fmt"
	"strings"
)

// Mode is how a program is attached to an interface.
type Mode uint8

// The attach modes. The zero value is native, as in xdp-loader.
const (
	ModeNative      Mode = iota // in the driver
	ModeSKB                     // generic XDP, for any driver
	ModeHW                      // offloaded to the device
	ModeUnspecified             // native if the driver can, else skb
)

var modeNames = [...]string{ModeNative: "native", ModeSKB: "skb", ModeHW: "hw", ModeUnspecified: "unspecified"}

// ModeNames are the words that [ParseMode] knows.
func ModeNames() []string { return modeNames[:] }

// String is the mode's word, such as "native".
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// MarshalText is String, for JSON.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText is ParseMode, for JSON.
func (m *Mode) UnmarshalText(text []byte) error {
	parsed, err := ParseMode(string(text))
	if err == nil {
		*m = parsed
	}
	return err
}

// ParseMode reads a mode's word. The error is of kind [ErrInvalid] and lists the
// words.
func ParseMode(s string) (Mode, error) {
	for m, name := range modeNames {
		if s == name {
			return Mode(m), nil
		}
	}
	return 0, &Error{Kind: ErrInvalid,
		Msg:    fmt.Sprintf("unknown mode %q", s),
		Remedy: "valid modes: " + strings.Join(modeNames[:], ", ")}
}
