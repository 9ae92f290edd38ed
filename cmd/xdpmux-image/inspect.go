package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/registry"
)

// show prints what registries say of images.
func show(c *cli.Context, out *output.Printer) error {
	if c.NArg() == 0 {
		return cmdline.UsageError("image inspect needs at least one image", "xdpmux image inspect oci://REGISTRY/REPOSITORY:TAG")
	}
	var client registry.Client
	all := []*registry.Info{}
	for _, object := range c.Args().Slice() {
		i, err := client.Inspect(c.Context, image.Request{Object: object, Keys: c.StringSlice("verify-key")})
		if err != nil {
			return err
		}
		all = append(all, i)
	}
	if c.Bool("json") {
		return out.PrintJSON(all)
	}
	for n, i := range all {
		if n > 0 {
			fmt.Fprintln(out.Stdout)
		}
		table := tabwriter.NewWriter(out.Stdout, 0, 0, 2, ' ', 0)
		row := func(what, text string) { fmt.Fprintf(table, "%s\t%s\n", what, output.Shown(text)) }
		row("image", i.Image)
		row("size", fmt.Sprintf("%d bytes", i.Size))
		for _, p := range i.Platforms {
			text := p.Architecture + " " + p.Digest
			if p.Here {
				text += ", taken here"
			}
			row("platform", text)
		}
		row("programs", typed(i.Programs))
		row("maps", typed(i.Maps))
		row("signatures", signed(i))
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// typed are names with their types, as labels have them.
func typed(label map[string]string) string {
	if label == nil {
		return "not said"
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(label)) {
		all = append(all, fmt.Sprintf("%s (%s)", name, label[name]))
	}
	if all == nil {
		return "none"
	}
	return strings.Join(all, ", ")
}

func signed(i *registry.Info) string {
	switch {
	case i.Signatures == 0:
		return "none"
	case i.Verified == nil:
		return fmt.Sprintf("%d, not verified: --verify-key FILE does that", i.Signatures)
	case *i.Verified:
		return fmt.Sprintf("%d, and it is signed by the key", i.Signatures)
	}
	return fmt.Sprintf("%d, but it is not signed by the key", i.Signatures)
}
