package proc

import (
	"slices"
	"strings"
	"testing"
	"time"
)

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

func TestBPFFSIn(t *testing.T) {
	const mountinfo = `24 30 0:22 / /sys rw,nosuid shared:7 - sysfs sysfs rw
31 24 0:27 / /sys/fs/bpf rw,nosuid shared:9 - bpf bpf rw,mode=700
40 30 0:35 / /run/my\040fs rw - bpf none rw
41 30 0:36 / /tmp/bpf rw - tmpfs bpf rw
`
	if got, want := bpffsIn(mountinfo), []string{"/sys/fs/bpf", "/run/my fs"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestMonotonicIn(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"monotonic           0         0\nboottime            0         0\n": 0,
		"boottime 7 0\nmonotonic -86400 500\n":                               -24*time.Hour + 500,
		"":                                                                   0,
	} {
		if got := monotonicIn(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
