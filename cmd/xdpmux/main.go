// Command xdpmux loads, shows and unloads XDP programs that share an interface.
// It takes the calls of xdp-loader and works on the same chains.
package main

import (
	"context"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/agent"
	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/images"
	"github.com/xdpmux/xdpmux/cmd/internal/observer"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
)

func main() { cmdline.Main(cmdline.UsualSignals(), run) }

// run is main without the process around it. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out := output.New(stdout, stderr)
	if len(args) > 1 && args[0] == waitWord {
		return wait(ctx, out, args[1:])
	}
	app := newApp(out)
	app.Before = tend(out)
	if len(args) > 0 && args[0] == completeWord {
		return complete(ctx, app, args[1:], out.Stdout)
	}
	return cmdline.Run(ctx, app, out, args)
}

func newApp(out *output.Printer) *cli.App {
	commands := []*cli.Command{
		loadCommand(out),
		unloadCommand(out),
		replaceCommand(out),
		setCommand(out),
		upgradeCommand(out),
		statusCommand(out),
		cleanCommand(out),
		featuresCommand(out),
		inspectCommand(out),
		images.Command(startImage, startImage, startImage, startImage),
		mapCommand(out),
		runCommand(out),
		planCommand(out),
		applyCommand(out),
		agent.Command(startAgent),
		exportCommand(out),
		convertCommand(out),
		historyCommand(out),
		undoCommand(out),
		confirmCommand(out),
		revertCommand(out),
		checkCommand(out),
		completionCommand(out),
	}
	commands = append(commands, observer.Commands(startObserver, startObserver, startObserver, startObserver)...)
	return cmdline.NewApp(out, append(commands, manCommand(out))...)
}
