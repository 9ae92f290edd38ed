package transaction

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestOddMap puts programs on the interface that have a dispatcher's name, and a map of another
// size than a dispatcher's of that version. Every command says so, and leaves the program alone.
func TestOddMap(t *testing.T) {
	harness.NoLeak(t)
	object := fixture("verdicts", "").File
	for _, c := range []struct{ size, version int }{
		{1, 2}, {85, 0}, {123, 2}, {124, 3}, {128, 2}, {128, 200}, {4097, 3}, {1 << 20, 3},
	} {
		t.Run(fmt.Sprintf("%d bytes, version %d", c.size, c.version), func(t *testing.T) {
			v := harness.NewVeth(t)
			value := make([]byte, c.size)
			copy(value, []byte{236, byte(c.version), 255})
			v.Attach(t, harness.OddDispatcher(t, value), harness.Native)
			before := statusText(t, v.Name)
			says := fmt.Sprintf("can't read the chain on %s: a configuration of %d bytes is not of a libxdp dispatcher\n", v.Name, c.size)
			if c.version > 3 {
				says = fmt.Sprintf("can't read the chain on %s: the dispatcher has version %d, and xdpmux knows 1 to 3\n", v.Name, c.version)
			}
			if !strings.Contains(before, says) {
				t.Errorf("status: %s\nwant: %s", before, says)
			}
			for _, args := range [][]string{
				{"load", v.Name, object, "-n", "v_pass"},
				{"set", v.Name, "-i", "1", "-P", "3"},
				{"unload", v.Name, "-i", "1"},
				{"unload", v.Name, "-a"},
			} {
				stdout, stderr, exit := harness.Run(t, harness.Xdpmux(), args...)
				if exit != 1 || !strings.HasPrefix(stderr, "xdpmux: "+says) {
					t.Errorf("%q: exit status %d\n%s%s", args, exit, stdout, stderr)
				}
			}
			harness.MustRun(t, harness.Xdpmux(), "clean")
			if after := statusText(t, v.Name); after != before {
				t.Errorf("status: %s\nbefore: %s", after, before)
			}
		})
	}
}

// statusText is all that the command says of an interface.
func statusText(t *testing.T, ifname string) string {
	t.Helper()
	stdout, stderr, _ := harness.Run(t, harness.Xdpmux(), "status", ifname)
	return stdout + stderr
}
