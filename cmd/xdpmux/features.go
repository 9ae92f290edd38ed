package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/check"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func featuresCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:      "features",
		Usage:     "show what an interface's driver can do for XDP",
		ArgsUsage: "<ifname>",
		Flags:     []cli.Flag{&cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("the features")}},
		Action:    func(c *cli.Context) error { return features(c, out) },
	}
}

// featuresJSON is the shape of features --json.
type featuresJSON struct {
	Interface xdp.Interface   `json:"interface"`
	Features  map[string]bool `json:"features"`    // by the kernel's names
	ZCMaxSegs uint32          `json:"zc_max_segs"` // 0: the kernel doesn't say

	RxMetadata map[string]bool `json:"rx_metadata,omitempty"` // by the kernel's names; nil: it doesn't say
}

func features(c *cli.Context, out *output.Printer) error {
	if c.NArg() != 1 {
		return cmdline.UsageError("features needs one interface", "xdpmux features <ifname>")
	}
	f, err := check.QueryFeatures(c.Context, c.Args().First())
	if err != nil {
		return err
	}
	if c.Bool("json") {
		shape := featuresJSON{Interface: f.Interface, Features: map[string]bool{}, ZCMaxSegs: f.ZCMaxSegs}
		for bit, name := range check.FeatureNames() {
			shape.Features["NETDEV_XDP_ACT_"+name] = f.XDP.Has(1 << bit)
		}
		if f.RxMetadata != nil {
			shape.RxMetadata = map[string]bool{}
			for bit, name := range check.MetadataNames() {
				shape.RxMetadata["NETDEV_XDP_RX_METADATA_"+name] = f.RxMetadata.Has(1 << bit)
			}
		}
		return out.PrintJSON(shape)
	}
	for bit, name := range check.FeatureNames() {
		label := "NETDEV_XDP_ACT_" + name + ":"
		answer := "no"
		if f.XDP.Has(1 << bit) {
			answer = "yes"
		}
		// Tabs to column 32, as xdp-loader writes them.
		fmt.Fprintf(out.Stdout, "%s%s%s\n", label, strings.Repeat("\t", (32-len(label)+7)/8), answer)
	}
	return nil
}
