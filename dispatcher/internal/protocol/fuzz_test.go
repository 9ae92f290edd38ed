package protocol

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// FuzzDecodeConfig reads configurations of dispatchers that anybody may have loaded. What
// is read is written again as the same configuration.
func FuzzDecodeConfig(f *testing.F) {
	for version := 1; version <= MaxVersion; version++ {
		c := Config{Version: version, Count: 2}
		c.Slots[1] = SlotConfig{Priority: 7, Actions: *xdp.On(xdp.Pass, xdp.TX)}
		f.Add(c.Encode())
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		c, err := decodeConfig(value)
		if err != nil {
			return
		}
		written := c.Encode()
		if len(written) != len(value) {
			t.Fatalf("version %d of %d bytes is written as %d", c.Version, len(value), len(written))
		}
		again, err := decodeConfig(written)
		if err != nil {
			t.Fatal(err)
		}
		for i := c.Count; i < xdp.MaxPrograms; i++ { // what is behind the programs is not written
			c.Slots[i], again.Slots[i] = SlotConfig{}, SlotConfig{}
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Errorf("(-read +written):\n%s", diff)
		}
	})
}
