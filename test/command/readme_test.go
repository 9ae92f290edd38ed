package command

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestReadmeDemo runs the demo and compares it with the transcript in the README,
// with ids and tags masked.
func TestReadmeDemo(t *testing.T) {
	harness.NoLeak(t)
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, transcript, ok := strings.Cut(string(readme), "```console\n$ make demo\n")
	transcript, _, closed := strings.Cut(transcript, "```")
	if !ok || !closed {
		t.Fatal("the README has no transcript of make demo")
	}
	stdout, stderr, status := harness.RunEnv(t, []string{"XDPMUX_DEMO_IN_VM=1"}, "../demo.sh")
	if status != 0 {
		t.Fatalf("demo: exit status %d\n%s", status, stderr)
	}
	mask := func(s string) string {
		s = regexp.MustCompile(`\b\d+ +[0-9a-f]{16}`).ReplaceAllString(s, "ID TAG")
		s = regexp.MustCompile(`-i \d+`).ReplaceAllString(s, "-i ID")
		return strings.TrimSpace(s)
	}
	if diff := cmp.Diff(mask(transcript), mask(stdout)); diff != "" {
		t.Errorf("(-README +demo):\n%s", diff)
	}
}
