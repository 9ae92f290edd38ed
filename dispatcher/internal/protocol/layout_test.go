package protocol

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// TestConfig writes the configuration of every version and reads it back, and
// compares the bytes of one with what libxdp 1.3.1 was seen to write. TestCompatibility
// of test/transaction compares with the objects of other versions of libxdp.
func TestConfig(t *testing.T) {
	for version := 1; version <= MaxVersion; version++ {
		c := Config{Version: version, Count: 2}
		for i := range c.Slots {
			c.Slots[i] = SlotConfig{Actions: 0}
		}
		c.Slots[0] = SlotConfig{Priority: 5, Actions: *xdp.On(xdp.Pass, xdp.Drop)}
		c.Slots[1] = SlotConfig{Priority: 1 << 31, Actions: *xdp.On(xdp.Pass)}
		if version > 1 {
			c.Frags, c.DeviceBound = true, true
			c.Slots[0].Flags = 32
		}
		value := c.Encode()
		if want := map[int]int{1: 84, 2: 124, 3: 128}[version]; len(value) != want {
			t.Errorf("version %d has %d bytes, want %d", version, len(value), want)
		}
		back, err := decodeConfig(value)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, back); diff != "" {
			t.Errorf("version %d (-written +read):\n%s", version, diff)
		}
	}
	lone := Config{Version: 2, Count: 1, Slots: [xdp.MaxPrograms]SlotConfig{{Priority: 50, Actions: *xdp.On(xdp.Pass)}}}
	head := lone.Encode()[:8]
	if diff := cmp.Diff([]byte{236, 2, 1, 0, 4, 0, 0, 128}, head); diff != "" {
		t.Errorf("(-libxdp +xdpmux):\n%s", diff)
	}
}

// TestConfigBound has libxdp 1.6's flag for each program of a bound chain, in version 2 too, whose
// configuration says it nowhere else.
func TestConfigBound(t *testing.T) {
	for version, is := range map[int][]byte{2: {}, 3: {1, 0, 0, 0}} {
		value := Config{Version: version, Count: 2, DeviceBound: true, Slots: [xdp.MaxPrograms]SlotConfig{1: {Flags: 32}}}.Encode()
		flags := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, 64), 64|32)
		want := append(append(flags, make([]byte, 4*8)...), is...)
		if diff := cmp.Diff(want, value[4+2*4*xdp.MaxPrograms:]); diff != "" {
			t.Errorf("version %d (-libxdp +xdpmux):\n%s", version, diff)
		}
	}
}

func TestConfigRefused(t *testing.T) {
	newer := Config{Version: 9}.Encode()
	foreign := Config{Version: 2}.Encode()
	foreign[0] = 1
	crowded := Config{Version: 2, Count: 11}.Encode()
	for _, c := range []struct {
		value []byte
		want  string
	}{
		{newer, "the dispatcher has version 9, and xdpmux knows 1 to 3"},
		{foreign, "a configuration of 124 bytes is not of a libxdp dispatcher"},
		{nil, "a configuration of 0 bytes is not of a libxdp dispatcher"},
		{Config{Version: 3}.Encode()[:124], "a configuration of 124 bytes is not of a libxdp dispatcher"},
		{append(Config{Version: 2}.Encode(), 0, 0, 0, 0), "a configuration of 128 bytes is not of a libxdp dispatcher"},
		{crowded, "the dispatcher's configuration speaks of 11 programs"},
	} {
		if _, err := decodeConfig(c.value); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}
