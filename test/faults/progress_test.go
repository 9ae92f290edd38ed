package faults

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"github.com/xdpmux/xdpmux/test/harness"
)

const clearLine = "\r\x1b[K"

// onTerminal runs xdpmux on a terminal and returns all that it writes there. The
// first time that the output holds the words at, it is sent the signal.
func onTerminal(t *testing.T, at string, signal os.Signal, args ...string) (output string, state *os.ProcessState) {
	t.Helper()
	cmd := exec.Command(ours(), args...)
	cmd.Env = append(os.Environ(), "TERM=xterm")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	must(t, err)
	defer terminal.Close()
	chunk := make([]byte, 4096)
	for sent := at == ""; ; {
		n, err := terminal.Read(chunk)
		output += string(chunk[:n])
		if !sent && strings.Contains(output, at) {
			must(t, cmd.Process.Signal(signal))
			sent = true
		}
		if errors.Is(err, syscall.EIO) || errors.Is(err, io.EOF) { // the other end is closed
			break
		}
		must(t, err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return output, cmd.ProcessState
}

// steps is what a terminal is to show of each.
func steps(step string, names []string) (text string) {
	for i, name := range names {
		text += fmt.Sprintf("%s%s %d of %d: %s", clearLine, step, i+1, len(names), name)
	}
	return text
}

func TestProgress(t *testing.T) {
	harness.NoLeak(t)
	_, names := pairs(t, 5)
	for _, c := range []struct {
		names []string
		args  []string
		want  string
	}{
		{names, []string{"load", strings.Join(names, ","), pass}, steps("prepare", names) + steps("swap", names) + clearLine},
		{names, []string{"unload", "-a", strings.Join(names, ",")}, steps("unload", names) + clearLine},
		{names[:4], []string{"load", strings.Join(names[:4], ","), pass}, ""},
		{names[:4], []string{"unload", "-a", strings.Join(names[:4], ",")}, ""},
	} {
		if got, state := onTerminal(t, "", nil, c.args...); got != c.want || !state.Success() {
			t.Errorf("%v: %v\n%q\nwant\n%q", c.args, state, got, c.want)
		}
	}
	list := strings.Join(names, ",")
	for _, args := range [][]string{{"load", list, pass}, {"unload", "-a", list}} {
		if stdout, stderr, exit := harness.Run(t, ours(), args...); exit != 0 || stdout+stderr != "" {
			t.Errorf("%v without a terminal: exit status %d, %q", args, exit, stdout+stderr)
		}
	}
}

// A signal while interfaces are prepared leaves all as they were; once the first has
// its new chain, all get it.
func TestInterrupted(t *testing.T) {
	harness.NoLeak(t)
	// Many, as the signal has to arrive before the last is reached: a processor of the
	// VM goes on for up to 100 ms before the other gets its turn.
	_, names := pairs(t, 40)
	harness.MustRun(t, ours(), "load", names[0], pass)
	list := strings.Join(names, ",")
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, os.Kill} {
		before := harness.Snapshot(t)
		chain := status(t, names[0], 0)
		output, state := onTerminal(t, "prepare 2 of 40", signal, "load", list, sample("xdp_drop"), pass)
		if signal == os.Kill {
			if state.ExitCode() != -1 {
				t.Errorf("not killed: %v", state)
			}
		} else if state.ExitCode() != 1 || !strings.HasSuffix(output, clearLine+"xdpmux: interrupted\r\n") {
			t.Errorf("%v: %v, %q", signal, state, output)
		}
		before.Check(t)
		if now := status(t, names[0], 0); now.Dispatcher.ID != chain.Dispatcher.ID {
			t.Errorf("%v: the chain was %+v, and is %+v", signal, chain, now)
		}
	}
	if output, state := onTerminal(t, "swap 2 of 40", os.Interrupt, "load", list, sample("xdp_drop")); !state.Success() {
		t.Errorf("%v, %q", state, output)
	}
	for _, name := range names {
		if c := status(t, name, 0); len(c.Programs) == 0 || c.Programs[0].Name != "xdp_drop" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	// What is done is done, and the rest stays.
	output, state := onTerminal(t, "unload 2 of 40", os.Interrupt, "unload", "-a", list)
	if state.ExitCode() != 1 || !strings.HasSuffix(output, clearLine+"xdpmux: interrupted\r\n") {
		t.Errorf("%v, %q", state, output)
	}
	if first, last := status(t, names[0], 0), status(t, names[39], 0); first.Dispatcher != nil || last.Dispatcher == nil {
		t.Errorf("first: %+v\nlast: %+v", first, last)
	}
	harness.Run(t, ours(), "unload", "-a", list)
}

// Killed between the interfaces, it leaves whole chains on some and nothing on others,
// and pins that clean removes.
func TestKilled(t *testing.T) {
	harness.NoLeak(t)
	_, names := pairs(t, 8)
	before := harness.Snapshot(t)
	if _, state := onTerminal(t, "swap 3 of 8", os.Kill, "load", strings.Join(names, ","), pass, sample("xdp_drop")); state.ExitCode() != -1 {
		t.Fatalf("not killed: %v", state)
	}
	harness.MustRun(t, ours(), "clean")
	var chains []string
	for i, name := range names {
		c := status(t, name, 0)
		if c.Dispatcher == nil && i >= 2 {
			continue
		}
		if len(c.Programs) != 2 || c.Problem != "" || c.Pins == "" {
			t.Errorf("%s: %+v", name, c)
		}
		chains = append(chains, name)
	}
	if native := harness.MustRun(t, "xdp-loader", "status"); strings.Count(native, "xdp_dispatcher") != len(chains) {
		t.Errorf("chains on %v, and xdp-loader says:\n%s", chains, native)
	}
	harness.MustRun(t, ours(), "unload", "-a", strings.Join(chains, ","))
	before.Check(t)
}
