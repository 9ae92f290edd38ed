package observe

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestReadmeTop compares the screen of top that README shows with one of now, but for the figures
// and the name of the interface. To take a new one over:
//
//	go run ./test/vm -kernel 6.12 -run '^TestReadmeTop$' ./test/observe
func TestReadmeTop(t *testing.T) {
	harness.NoLeak(t)
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)```text\n(xdpmux top .*?)\n```").FindSubmatch(readme)
	if shown == nil {
		t.Fatal("README has no screen of top")
	}
	v := harness.NewVeth(t)
	harness.MustRun(t, xdpmux, "load", v.Name, samples+"xdp_count.o", samples+"xdp_drop_ipv6.o", samples+"xdp_pass.o")
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		four, six := harness.UDP4(harness.Flow{}), harness.UDP6(harness.Flow{})
		for {
			select {
			case <-done:
				return
			default:
				v.Deliver(t, four, four, six)
			}
		}
	}()
	term := startInTerminal(t, 84, 8, "top", v.Name, "--interval", "100ms")
	full := regexp.MustCompile(`xdp_pass .*[▁▂▃▄▅▆▇█]{8}`)
	var screen string
	term.await(t, "bars", func(s string) bool { screen = s; return full.MatchString(s) })
	close(done)
	<-ended
	term.key(t, "q")
	if err := term.cmd.Wait(); err != nil {
		t.Error(err)
	}
	screen = strings.ReplaceAll(strings.TrimRight(screen, "\n"), v.Name, "eth0")
	if now, was := shape(screen), shape(string(shown[1])); now != was {
		t.Errorf("README shows\n%s\nwhich is\n%s\nnow it is\n%s\nwhich is\n%s", shown[1], was, screen, now)
	}
}

// shape is a screen without what differs from run to run.
func shape(screen string) string {
	for _, mask := range []struct{ what, by string }{
		{`\d\d:\d\d:\d\d`, "HH:MM:SS"}, {`\d+(\.\d+)?[kM]?`, "N"}, {`[▁▂▃▄▅▆▇█]+`, "BARS"}, {` +`, " "},
	} {
		screen = regexp.MustCompile(mask.what).ReplaceAllString(screen, mask.by)
	}
	return screen
}
