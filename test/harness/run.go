package harness

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// runLimit is longer than any program here takes, in an emulated VM too.
const runLimit = 2 * time.Minute

// Run runs a program to its end and returns what it wrote and its exit status. A
// program that can't be started, is killed by a signal or does not end fails the
// test.
func Run(t testing.TB, name string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	return RunEnv(t, nil, name, args...)
}

// RunEnv is Run with variables, as "NAME=value", added to the environment.
func RunEnv(t testing.TB, env []string, name string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = 10 * time.Second // for a child of it that holds the pipes
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || !exit.Exited()) {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out.String(), errs.String())
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// MustRun is Run for a program whose exit status has to be 0; it returns its
// standard output.
func MustRun(t testing.TB, name string, args ...string) (stdout string) {
	t.Helper()
	stdout, stderr, status := Run(t, name, args...)
	if status != 0 {
		t.Fatalf("%s %s: exit status %d\n%s%s", name, strings.Join(args, " "), status, stdout, stderr)
	}
	return stdout
}
