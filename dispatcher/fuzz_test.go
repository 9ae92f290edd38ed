package dispatcher

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzDecodeConfig reads configurations of dispatchers that anybody may have loaded. What
// is read is written again as the same configuration.
func FuzzDecodeConfig(f *testing.F) {
	for version := 1; version <= maxVersion; version++ {
		c := layoutConfig{Version: version, Count: 2}
		c.Slots[1] = layoutSlot{Priority: 7, Actions: *On(Pass, TX)}
		f.Add(c.encode())
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		c, err := decodeConfig(value)
		if err != nil {
			return
		}
		written := c.encode()
		if len(written) != len(value) {
			t.Fatalf("version %d of %d bytes is written as %d", c.Version, len(value), len(written))
		}
		again, err := decodeConfig(written)
		if err != nil {
			t.Fatal(err)
		}
		for i := c.Count; i < MaxPrograms; i++ { // what is behind the programs is not written
			c.Slots[i], again.Slots[i] = layoutSlot{}, layoutSlot{}
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Errorf("(-read +written):\n%s", diff)
		}
	})
}

// FuzzObject has damaged objects read, by the C libraries too if they are let. What is
// refused is refused by its name.
func FuzzObject(f *testing.F) {
	for _, file := range []string{"../build/bpf/xdp_drop_ipv6_count.o", "../build/bpf/fixtures/barest.o", "../build/bpf/fixtures/kfunc.o"} {
		if data, err := os.ReadFile(file); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := InspectData("fuzzed.o", data)
		if err != nil {
			if !errors.Is(err, ErrObject) || !strings.Contains(err.Error(), "fuzzed.o") {
				t.Error(err)
			}
			return
		}
		for _, p := range o.Programs {
			if !p.XDP() {
				continue
			}
			if opened, err := open(t.Context(), Program{File: "fuzzed.o", Data: data, Name: p.Name}); err == nil {
				opened.close()
			} else if p.Chain {
				t.Errorf("inspect says that %q loads: %v", p.Name, err)
			}
		}
	})
}

// FuzzCapabilities reads /proc/PID/status. What can't be read has all capabilities, and
// the kernel will tell.
func FuzzCapabilities(f *testing.F) {
	f.Add("Name:\txdpmux\nCapInh:\t0000000000000000\nCapEff:\t000001ffffffffff\n")
	f.Add("CapEff:\t0\n")
	f.Add("CapEff:\tnone\n")
	f.Fuzz(func(t *testing.T, status string) {
		got := capabilitiesIn(status)
		if !strings.Contains(status, "CapEff:") && got != ^capabilities(0) {
			t.Errorf("%x without a line CapEff", got)
		}
		if other := capabilitiesIn("Name:\tx\n" + status); other != got {
			t.Errorf("%x, and %x behind another line", got, other)
		}
	})
}

// FuzzMounts reads mount points from /proc/PID/mountinfo, whatever they are called.
func FuzzMounts(f *testing.F) {
	f.Add("30 23 0:26 / /sys/fs/bpf rw,nosuid shared:9 - bpf bpf rw,mode=700\n", "/sys/fs/bpf")
	f.Add("\n - bpf \n", "/a b\\c\td")
	escape := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`)
	f.Fuzz(func(t *testing.T, text, path string) {
		for _, dir := range bpffsIn(text) {
			if dir == "" {
				t.Error("a mount without a mount point")
			}
		}
		if path == "" {
			return
		}
		line := "30 23 0:26 / " + escape.Replace(path) + " rw - bpf bpf rw\n"
		if got := bpffsIn(line); !slices.Equal(got, []string{path}) {
			t.Errorf("%q is read as %q", path, got)
		}
	})
}

// FuzzLinkID reads /proc/PID/fdinfo/FD.
func FuzzLinkID(f *testing.F) {
	f.Add("pos:\t0\nflags:\t02000000\nlink_type:\txdp\nlink_id:\t7\n")
	f.Add("link_id:\t4294967296\n")
	f.Add("link_id:")
	f.Fuzz(func(t *testing.T, text string) {
		if id := linkIDIn(text); id != 0 && !strings.Contains(text, "link_id:") {
			t.Errorf("%d without a line link_id", id)
		}
	})
}
