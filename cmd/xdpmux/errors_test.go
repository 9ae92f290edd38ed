package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/cmd/internal/output"
)

// Names in errors, as a user gives them, don't reach the terminal as they are.
func TestErrorsAreShown(t *testing.T) {
	const name = "\x1b[31m\u202e\xff\n"
	for _, args := range [][]string{
		{"inspect", name}, {name}, {"load", "lo", name}, {"load", "-m", name, "lo", "x"}, {"status", name}, {"map", name}, {"status", "--" + name},
		{"plan", "-f", name}, {"--netns", name, "status"}, {"load", "-P", name, "lo", "x"}, {"-" + name}, {"check", name}, {"features", name},
		{"map", "dump", name, name}, {"run", name, name}, {"load", "--map-size", name, "lo", "x"}, {"status", "--watch=" + name}, {"help", name},
	} {
		var stdout, stderr bytes.Buffer
		run(context.Background(), args, &stdout, &stderr)
		for _, line := range strings.Split(strings.TrimSuffix(stdout.String()+stderr.String(), "\n"), "\n") {
			if !output.Printable(line) {
				t.Errorf("%q: %q", args, line)
			}
		}
	}
}
