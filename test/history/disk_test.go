package history

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestOnDisk looks at what a load waits for. What an object's copy has is on the disk before the
// copy gets its name, the record that says what is about to be done before the swap, and the one
// that says how it ended before the command ends.
func TestOnDisk(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	v := veth(t)
	p, trace := harness.StartStraced(t, []string{"-y", "-e", "trace=fsync,fdatasync,/^rename,sendto,sendmsg"}, ours(), "load", v.Name, harness.Sample("xdp_pass"))
	if status := p.Wait(t); status != 0 {
		t.Fatalf("exit status %d\n%s", status, p.Stderr)
	}
	trace.Until(t, func(string) bool { return false }) // to its end
	found := regexp.MustCompile(`(?m)(fsync)\(\d+<\S*/objects/(\S+)\.new>|(rename)\S*\(.*/objects/(\S+)\.new",|(fdatasync)\(\d+<\S*/history/log>|nlmsg_type=(RTM_SETLINK|0x13)\b`).FindAllStringSubmatch(trace.String(), -1)
	var steps []string
	synced := map[string]bool{}
	for _, f := range found {
		switch {
		case f[1] != "":
			synced[f[2]] = true
		case f[3] != "" && !synced[f[4]]:
			t.Errorf("%s gets its name before it is on the disk", f[4])
		case f[5] != "":
			steps = append(steps, "record")
		case f[6] != "": // with -y, strace leaves it a number
			steps = append(steps, "swap")
		}
	}
	if got := strings.Join(steps, " "); got != "record swap record" || len(synced) != 2 {
		t.Errorf("steps: %s; copies: %v\n%s", got, synced, trace)
	}
	if got := fmt.Sprint(len(records(t, v.Name))); got != "1" {
		t.Errorf("%s records", got)
	}
}
