// Command xdpmux-image has the command image of xdpmux, which starts it for that, and for each object
// that is an image.
package main

import (
	"context"
	"encoding/json"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/images"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/registry"
)

func main() { cmdline.Main(cmdline.UsualSignals(), run) }

// run is main without the process around it. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out := output.New(stdout, stderr)
	return cmdline.Run(ctx, newApp(out), out, args)
}

func newApp(out *output.Printer) *cli.App {
	with := func(do func(*cli.Context, *output.Printer) error) cli.ActionFunc {
		return func(c *cli.Context) error { return do(c, out) }
	}
	return cmdline.NewApp(out, images.Command(with(build), with(push), with(pull), with(show)), images.FetchCommand(with(fetch)))
}

// fetch answers another command.
func fetch(c *cli.Context, out *output.Printer) error {
	said, err := cmdline.ReadStdin(c.Context, 1<<20)
	if err != nil {
		return err
	}
	var r image.Request
	if err := json.Unmarshal(said, &r); err != nil {
		return err
	}
	var client registry.Client
	i, err := client.Fetch(c.Context, r)
	return images.WriteAnswer(out, i, err)
}
