package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/registry"
)

// pushedJSON is the shape of what image push --json prints.
type pushedJSON struct {
	Image  string `json:"image"` // with the digest
	Digest string `json:"digest"`
}

// push puts what build has made into a registry.
func push(c *cli.Context, out *output.Printer) error {
	if c.NArg() != 2 {
		return cmdline.UsageError("image push needs a directory and a name", "xdpmux image push DIR oci://REGISTRY/REPOSITORY:TAG")
	}
	b, err := registry.Read(c.Args().First())
	if err != nil {
		return err
	}
	object := c.Args().Get(1)
	var client registry.Client
	if err := client.Push(c.Context, object, b); err != nil {
		return err
	}
	pushed := pushedJSON{image.Pin(object, b.Digest), b.Digest}
	if c.Bool("json") {
		return out.PrintJSON(pushed)
	}
	fmt.Fprintln(out.Stdout, output.Shown(pushed.Image))
	return nil
}
