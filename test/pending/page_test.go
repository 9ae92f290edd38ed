package pending

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestPage runs the examples of docs/confirm.md, on a terminal and without. They print what the
// page shows, at another time of day.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/confirm.md")
	must(t, err)
	blocks := regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d examples", len(blocks))
	}
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	chain(t, v, 1)
	here := strings.NewReplacer("eth0", v.Name, "xdp_drop.o", harness.Sample("xdp_drop"), " </dev/null", "")
	clock := regexp.MustCompile(`\d\d:\d\d:\d\d, in [\dms]+`)

	command, prompt, _ := strings.Cut(blocks[0][1], "\n")
	term := inTerminal(t, strings.Fields(strings.TrimPrefix(here.Replace(command), "$ xdpmux "))...)
	untilTime, _, _ := strings.Cut(here.Replace(prompt), "1m0s")
	term.shows(t, untilTime)
	run(t, 0, "revert")
	term.End(t, 3)

	for example := range strings.SplitSeq(strings.TrimPrefix(blocks[1][1], "$ xdpmux "), "$ xdpmux ") {
		command, want, _ := strings.Cut(here.Replace(example), "\n")
		said := run(t, 0, strings.Fields(command)...)
		if clock.ReplaceAllString(said, "") != clock.ReplaceAllString(want, "") {
			t.Errorf("%s says:\n%s\nthe page:\n%s", command, said, want)
		}
	}
	checkEnded(t, v)
	chain(t, v, 0)
}
