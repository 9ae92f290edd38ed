package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/images"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/registry"
)

// pulledJSON is the shape of an image in image pull --json.
type pulledJSON struct {
	Image    string            `json:"image"` // with the digest
	Digest   string            `json:"digest"`
	Size     int               `json:"size"` // of the object
	Programs map[string]string `json:"programs"`
	Maps     map[string]string `json:"maps"`
}

func pull(c *cli.Context, out *output.Printer) error {
	if c.NArg() == 0 {
		return cmdline.UsageError("image pull needs at least one image", "xdpmux image pull oci://REGISTRY/REPOSITORY:TAG")
	}
	var client registry.Client
	all := []pulledJSON{}
	for _, object := range c.Args().Slice() {
		i, err := client.Fetch(c.Context, image.Request{Object: object, Keys: c.StringSlice("verify-key")})
		if err != nil {
			return err
		}
		images.Tell(out, i)
		all = append(all, pulledJSON{i.Pinned(), i.Digest, len(i.Data), i.Programs, i.Maps})
	}
	if c.Bool("json") {
		return out.PrintJSON(all)
	}
	for _, p := range all {
		fmt.Fprintln(out.Stdout, output.Shown(p.Image))
	}
	return nil
}
