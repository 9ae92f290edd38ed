package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/observer"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/history"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func unloadCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:      "unload",
		Usage:     "unload one XDP program, or all, from interfaces",
		ArgsUsage: "<ifname>...",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "unload everything, the dispatcher too"},
		}, append(append(append(targetFlags("unload"), dryRunFlags()...), trialFlags()...), previewJSONFlag)...),
		Action: func(c *cli.Context) error { return unload(c, out) },
	}
}

func unload(c *cli.Context, out *output.Printer) error {
	const usage = "xdpmux unload (-a | -i ID | --name NAME) <ifname>..."
	asked := 0
	for _, name := range []string{"all", "id", "name"} {
		if c.IsSet(name) {
			asked++
		}
	}
	ifnames := cmdline.InterfaceArgs(c.Args().Slice())
	switch {
	case len(ifnames) == 0:
		return cmdline.UsageError("unload needs an interface", usage)
	case asked == 0:
		return cmdline.UsageError("unload needs a program's id or name, or --all", usage)
	case asked > 1:
		return cmdline.UsageError("--all, --id and --name exclude each other", usage)
	}
	if err := checkPreview(c); err != nil {
		return err
	}
	opts := dispatcher.DetachOptions{Warn: out.WarnOf}
	remove := func(ctx context.Context, ifname string) error { return dispatcher.DetachAll(ctx, ifname, opts) }
	preview := dispatcher.PreviewDetachAll
	if !c.Bool("all") {
		if c.IsSet("id") { // before anything is unloaded
			if _, err := cmdline.ParseID(c.String("id"), ifnames[0]); err != nil {
				return err
			}
		}
		remove = func(ctx context.Context, ifname string) error {
			id, err := targetOn(c, ifname)
			if err != nil {
				return err
			}
			return dispatcher.Detach(ctx, ifname, id, opts)
		}
		preview = func(ctx context.Context, ifname string) (*dispatcher.Preview, error) {
			id, err := targetOn(c, ifname)
			if err != nil {
				return nil, err
			}
			return dispatcher.PreviewDetach(ctx, ifname, id)
		}
	}
	if c.Bool("dry-run") {
		return previewUnload(c, out, ifnames, preview)
	}
	return tried(c, out, these(ifnames...), func(changing func(*dispatcher.Changing) error) error {
		opts.Changing = changing
		return unloadNow(c, out, ifnames, remove)
	})
}

// unloadNow unloads what remove removes.
func unloadNow(c *cli.Context, out *output.Printer, ifnames []string, remove func(context.Context, string) error) error {
	// Where one interface fails the others are unloaded all the same.
	each, end := progress(out.Stderr, ifnames)
	defer end()
	r := history.NewRecorder(history.Options{Warn: out.WarnOf})
	ctx := r.Context(c.Context)
	var errs []error
	for i, ifname := range ifnames {
		if ctx.Err() != nil {
			break
		}
		each("unload", i)
		errs = append(errs, remove(ctx, ifname))
	}
	r.EndEach(errs, ifnames[:len(errs)]...)
	err := errors.Join(errs...)
	if len(errs) < len(ifnames) && !errors.Is(err, context.Canceled) {
		err = errors.Join(err, ctx.Err())
	}
	return err
}

// previewUnload prints what would be left, and at the end what couldn't be unloaded. Then no
// packet is sent anywhere.
func previewUnload(c *cli.Context, out *output.Printer, ifnames []string, preview func(context.Context, string) (*dispatcher.Preview, error)) error {
	previews := []*dispatcher.Preview{}
	var changes []observer.Change
	var errs []error
	for _, ifname := range ifnames {
		p, err := preview(c.Context, ifname)
		if err == nil {
			var change observer.Change
			if change, err = unloading(c, ifname); err == nil {
				previews, changes = append(previews, p), append(changes, change)
			}
		}
		errs = append(errs, err)
	}
	err := errors.Join(errs...)
	if err == nil && rehearses(c) {
		return rehearsePreviews(c, out, changes, previews...)
	}
	if len(previews) > 0 || c.Bool("json") {
		err = errors.Join(printPreviews(c, out, previews...), err)
	}
	return err
}

// unloading is what unload does to an interface.
func unloading(c *cli.Context, ifname string) (observer.Change, error) {
	if c.Bool("all") {
		return observer.Change{Interface: ifname, Empty: true}, nil
	}
	id, err := targetOn(c, ifname)
	if err != nil {
		return observer.Change{}, err
	}
	return observer.NewChange(c.Context, ifname, dispatcher.Transaction{Mode: xdp.ModeUnspecified, Remove: []uint32{id}})
}
