package cmdline

import (
	"slices"
	"testing"
	"time"
)

func TestSplitNames(t *testing.T) {
	for arg, want := range map[string][]string{"lo": {"lo"}, "lo,eth0": {"lo", "eth0"}} {
		if got := SplitNames(arg); !slices.Equal(got, want) {
			t.Errorf("%s: %q", arg, got)
		}
	}
}

func TestParseInterval(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"1": time.Second, "5": 5 * time.Second, "0.5": 500 * time.Millisecond, "2s": 2 * time.Second, "500ms": 500 * time.Millisecond, "1m": time.Minute,
		"0": 0, "-1": 0, "0.001": 0, "9ms": 0, "": 0, "soon": 0, "NaN": 0, "Inf": 0, "1e300": 0, "5 s": 0,
	} {
		got, err := ParseInterval(in)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
}
