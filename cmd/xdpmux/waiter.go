package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/history"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// waitWord is the word with which xdpmux starts itself as the process that waits for the end
// of a pending change. The change's id follows, and the network namespace if it is to be
// entered.
const waitWord = "__wait"

// wait is the process that waits for the end of a change. It says how that was for the
// journal.
func wait(ctx context.Context, out *output.Printer, args []string) int {
	// No terminal and no session is to end it. SIGTERM does: then the next call of xdpmux
	// finds the change.
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT)
	if len(args) > 1 {
		if err := cmdline.EnterNetns(args[1]); err != nil {
			out.PrintError(err)
			return 1
		}
	}
	outcome, err := serve(ctx, out, args[0])
	if errors.Is(err, xdp.ErrNotPending) {
		return 0
	}
	if err != nil {
		out.PrintError(err)
		return 1
	}
	for _, line := range ended(outcome) {
		out.Say("xdpmux: ", line)
	}
	return 0
}

func serve(ctx context.Context, out *output.Printer, id string) (pending.Outcome, error) {
	change, err := pending.Open(id)
	if err != nil {
		return pending.Outcome{}, err
	}
	defer change.Close()
	return recordedEnd(ctx, out, change.Serve)
}

// startWaiter starts the process that waits for the end of a change. Where systemd manages
// the machine it is a unit of its own, as the end of a login may end all processes of its
// session. Elsewhere it is a process in a session of its own, and so it is, with a warning, if
// systemd can't start the unit.
func startWaiter(out *output.Printer) func(id string) error {
	return func(id string) error {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		if unitPossible() {
			err := startUnit(self, id)
			if err == nil {
				return nil
			}
			out.Warn("systemd doesn't start the unit that is to wait for the end of the change: %v", err)
			out.Say("  ", "a process of its own waits instead, which the end of this login may end")
		}
		cmd := exec.Command(self, waitWord, id)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return err
		}
		go func() { _ = cmd.Wait() }() // so that it is no zombie if this process waits longer
		return nil
	}
}

// unitPossible says whether systemd manages the machine (sd_booted(3)) and sees the same
// mounts, so the same bpffs and /run.
func unitPossible() bool {
	st, err := os.Lstat("/run/systemd/system")
	return err == nil && st.IsDir() && sameNamespace("mnt")
}

// sameNamespace says whether the first process is in the same namespace of that kind.
func sameNamespace(kind string) bool {
	first, err := os.Readlink("/proc/1/ns/" + kind)
	own, errOwn := os.Readlink("/proc/thread-self/ns/" + kind)
	return err == nil && errOwn == nil && first == own
}

// unitLimit is how long systemd may take to start a unit: it may be waiting for others.
const unitLimit = 10 * time.Second

// startUnit starts the process as a transient unit.
func startUnit(self, id string) error {
	args := []string{"--quiet", "--collect", "--service-type=exec", "--unit=xdpmux-pending-" + id,
		"--description=waits for the end of an xdpmux change", "--setenv=LIBXDP_BPFFS", "--", self, waitWord, id}
	if !sameNamespace("net") {
		args = append(args, fmt.Sprintf("/proc/%d/ns/net", os.Getpid()))
	}
	ctx, cancel := context.WithTimeout(context.Background(), unitLimit)
	defer cancel()
	said, err := exec.CommandContext(ctx, "systemd-run", args...).CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("it has not done so within %v", unitLimit)
	case err != nil && len(said) > 0:
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(said)))
	}
	return err
}

// tend comes before each command. It tends the changes for which nobody waits any more, and says
// what has become of them.
func tend(out *output.Printer) cli.BeforeFunc {
	return func(c *cli.Context) error {
		if agent := c.App.Command(c.Args().First()); agent != nil && agent.Name == "agent" {
			return nil // it tends them itself, for as long as it runs
		}
		r := history.NewRecorder(history.Options{Warn: out.WarnOf})
		noticed, err := pending.Tend(r.Context(c.Context), startWaiter(out))
		if err != nil {
			out.WarnOf(err)
		}
		for _, n := range noticed {
			tookBack(r, n.Outcome)
			tellNoticed(out, n)
		}
		return nil
	}
}

func tellNoticed(out *output.Printer, n pending.Noticed) {
	what := "the process that waited for a change of " + namesOf(n.Interfaces) + " to be confirmed was killed"
	if len(n.Interfaces) == 0 {
		what = "a command was killed before it had changed anything that was to be confirmed"
	}
	switch {
	case n.Err != nil:
		out.Warn("%s, and the change is still pending: %v", what, n.Err)
		out.Advise(n.Err)
	case n.Ended && len(n.Interfaces) > 0:
		out.Warn("%s", what)
		for _, line := range ended(n.Outcome) {
			out.Say("  ", line)
		}
	case !n.Ended:
		out.Warn("%s; another one waits now", what)
	}
}
