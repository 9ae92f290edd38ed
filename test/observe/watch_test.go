package observe

import (
	"regexp"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

// status --watch runs in a narrow terminal. The time and the heading stay in sight, it shows what
// others load, and q ends it with the terminal as it was.
func TestStatusWatch(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	term := startInTerminal(t, 40, 8, "status", "--watch", "--interval", "0.05", v.Name)
	heading := regexp.MustCompile(`^\d{4}-\d\d-\d\d HH:MM:SS, each 50ms, q ends\nCURRENT XDP PROGRAM STATUS:\n\nInterface        Prio  Program name\n`)
	term.await(t, "start", func(s string) bool { return heading.MatchString(s) && strings.Contains(s, "<No XDP program") })
	harness.MustRun(t, "xdp-loader", "load", v.Name, samples+"xdp_drop_ipv6.o")
	term.await(t, "load", func(s string) bool {
		return heading.MatchString(s) && strings.Contains(s, "xdp_dispatcher") && strings.Contains(s, "xdp_drop_ipv6")
	})
	term.key(t, "x") // means nothing
	harness.MustRun(t, "xdp-loader", "unload", "-a", v.Name)
	term.await(t, "unload", func(s string) bool { return heading.MatchString(s) && strings.Contains(s, "<No XDP program") })
	term.key(t, "q")
	if err := term.cmd.Wait(); err != nil {
		t.Errorf("q: %v", err)
	}
}

// Where the output is no terminal, there are just blocks, each with its time.
func TestStatusWatchInPipe(t *testing.T) {
	v := harness.NewVeth(t)
	out := harness.MustRun(t, "bash", "-c", `"$0" status --watch -i 0.02 "$1" | head -n 16`, xdpmux, v.Name)
	if n := len(regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d, each 20ms$`).FindAllString(out, -1)); n != 3 || strings.Contains(out, "\x1b") {
		t.Errorf("%d times:\n%s", n, out)
	}
}
