package history

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestPage does what the example of docs/history.md tells of. But for times and ids, history
// prints what the page shows.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/history.md")
	must(t, err)
	_, want, _ := strings.Cut(string(page), "```console\n$ xdpmux history eth0\n")
	want, _, found := strings.Cut(want, "```")
	if !found {
		t.Fatal("no example")
	}
	harness.NoLeak(t)
	fresh(t, roomy)
	v := veth(t)
	object := harness.Sample("xdp_pass")
	full, err := filepath.Abs(object)
	must(t, err)
	harness.MustRun(t, ours(), "load", v.Name, object)
	harness.MustRun(t, native, "load", v.Name, harness.Sample("xdp_drop"))
	if _, _, status := harness.Run(t, ours(), "load", v.Name, "nofile.o"); status != 1 {
		t.Fatalf("exit status %d", status)
	}
	harness.MustRun(t, "env", "SUDO_USER=alice", ours(), "unload", v.Name, "--name", "xdp_pass")
	got := harness.MustRun(t, ours(), "history", v.Name)
	got = strings.NewReplacer(ours(), "xdpmux", v.Name, "eth0", full, "/root/xdp_pass.o", object, "xdp_pass.o").Replace(got)
	alike := func(text string) string {
		text = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`).ReplaceAllString(text, "TIME")
		return regexp.MustCompile(`(?m)^  ([-+~]) \d+ `).ReplaceAllString(text, "  $1 ID ")
	}
	if alike(got) != alike(want) {
		t.Errorf("it prints\n%s\nand the page has\n%s", got, want)
	}
}
