package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/agentweb"
	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/images"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/cmd/internal/web"
	"github.com/xdpmux/xdpmux/dispatcher/agent"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

// keep is the command agent.
func keep(c *cli.Context, out *output.Printer) error {
	if c.NArg() > 0 {
		return cmdline.UsageError(fmt.Sprintf("agent takes no argument, and %q is one", c.Args().First()), "--state DIR names the directory of the files")
	}
	report, err := oneOf(c, "drift", "mend", "report")
	if err != nil {
		return err
	}
	json, err := oneOf(c, "log", "text", "json")
	if err != nil {
		return err
	}
	noCount, err := oneOf(c, "count", "packets", "nothing")
	if err != nil {
		return err
	}
	opts := agent.Options{Dir: c.String("state"), Report: report, Prune: c.Bool("prune"), Adopt: c.Bool("adopt"), Log: newLog(out.Stderr, json),
		By: "xdpmux-agent", Command: "xdpmux agent --state " + c.String("state"), Guard: cmdline.ShellGuard, Fetch: images.Fetch}
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()

	reload, hangups := make(chan struct{}), make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	opts.Reload = reload
	go func() {
		for {
			select {
			case <-hangups:
			case <-ctx.Done():
				return
			}
			manager.reloading()
			select {
			case reload <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	opts.Every = manager.interval()
	opts.Reloaded = manager.ready

	var status atomic.Pointer[agent.Status]
	var served *agentweb.Server // nil: nobody wants that
	opts.Tell = func(s agent.Status) {
		if status.Swap(&s) == nil {
			manager.ready()
		}
		manager.status(s, served)
	}
	opts.Alive = manager.alive
	if c.IsSet("listen") {
		address, err := web.Address(c.String("listen"))
		if err != nil {
			return err
		}
		counts := func() *observe.Snapshot { return &observe.Snapshot{Time: time.Now()} }
		if !noCount {
			counters := &agentweb.Counters{Context: ctx, Log: opts.Log}
			defer counters.Close()
			counts = counters.Read
		}
		served = agentweb.NewServer(address, opts.Log, agentweb.Handlers(agentweb.View{Status: status.Load, Packets: counts,
			Server: func() *agentweb.Server { return served }}))
		served.Try()
		defer served.Close()
		opts.Alive = func() {
			manager.alive()
			served.Try()
		}
	}
	err = agent.Run(ctx, opts)
	manager.stopping()
	return err
}

// oneOf reads an option that has two values, and says whether it has the second.
func oneOf(c *cli.Context, name, first, second string) (bool, error) {
	switch c.String(name) {
	case first:
		return false, nil
	case second:
		return true, nil
	}
	return false, cmdline.UsageError(fmt.Sprintf("--%s %q is neither %s nor %s", name, c.String(name), first, second), "one of the two")
}

// lookEvery is how often the agent looks around where nobody wants to know that it is alive.
const lookEvery = 30 * time.Second
