package main

import (
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func upgradeCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:  "upgrade",
		Usage: "give a chain the dispatcher that the native tools of this host share",
		Description: "libxdp 1.3 to 1.5 share dispatchers of version 2, and libxdp 1.6 those of version 3. After an upgrade of libxdp, " +
			"the native tools refuse to change the chains that the old one has left, and after a way back they can't read them. " +
			"This puts another dispatcher under the programs in one step; they go on running with their maps, ids and order.",
		ArgsUsage: "<ifname>",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "the `VERSION` of the dispatcher, 2 or 3, newer or older than it is (default: that of the installed libxdp)"},
			nativeFlag, dryRunFlag, previewJSONFlag,
		}, trialFlags()...),
		Action: func(c *cli.Context) error { return upgrade(c, out) },
	}
}

func upgrade(c *cli.Context, out *output.Printer) error {
	if c.NArg() != 1 {
		return cmdline.UsageError("upgrade needs one interface", "xdpmux upgrade <ifname> [--to 2|3]")
	}
	if err := checkPreview(c); err != nil {
		return err
	}
	version, err := upgradeTo(c)
	if err != nil {
		return err
	}
	ifname := c.Args().First()
	tx := dispatcher.Transaction{Mode: xdp.ModeUnspecified, Version: version, NativeCompatible: c.Bool("native-compatible"), Warn: out.WarnOf}
	return change(c, out, ifname, tx, func(done *dispatcher.Committed) {
		if out.Verbosity > 0 {
			out.Say("xdpmux: ", fmt.Sprintf("the chain on %s has a dispatcher of version %d", ifname, done.Chain.Version))
		}
	})
}

// versions are those that --to takes.
var versions = []string{"2", "3"}

// upgradeTo is the version that is asked for.
func upgradeTo(c *cli.Context) (int, error) {
	if c.IsSet("to") {
		i := slices.Index(versions, c.String("to"))
		if i < 0 {
			return 0, cmdline.UsageError(fmt.Sprintf("--to %q is no version that xdpmux writes", c.String("to")), "xdpmux upgrade <ifname> [--to 2|3]")
		}
		return i + 2, nil
	}
	version, err := dispatcher.NativeVersion()
	if err == nil && version == 0 {
		return 0, cmdline.UsageError("no libxdp is installed here that says which version to take", "xdpmux upgrade <ifname> --to 2|3")
	}
	return min(max(version, 2), 3), err
}
