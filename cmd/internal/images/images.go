// Package images defines how the command image is called, and gets objects from registries for the
// commands that load them. What it takes for that is in cmd/xdpmux-image: a library of registries,
// which would cost each start of xdpmux.
package images

import (
	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
)

// Name is the program that speaks with registries. It lies beside xdpmux, or in ../libexec/xdpmux as
// seen from there, where make install puts it.
const Name = "xdpmux-image"

// KeyFlag is the option of all commands that take images.
func KeyFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "verify-key", Usage: "take no image that isn't signed, as cosign does it, by the public key in `FILE`; repeatable: by each of them"}
}

// Command is image with what its commands do.
func Command(build, push, pull, inspect cli.ActionFunc) *cli.Command {
	return &cli.Command{
		Name:            "image",
		Usage:           "make, push, fetch and show images with objects, as bpfman has them in registries",
		HideHelpCommand: true,
		Action: func(*cli.Context) error {
			return cmdline.UsageError("image needs a command", "xdpmux image (build | push | pull | inspect) ..., each has --help")
		},
		Subcommands: []*cli.Command{
			{
				Name:      "build",
				HelpName:  "xdpmux image build",
				Usage:     "make an image of an object, or of two, one for each byte order, and print its digest",
				ArgsUsage: "<file>...",
				Description: "The labels that say which programs and maps are in it come from the object. The same object makes the same image: all " +
					"times in it are SOURCE_DATE_EPOCH, or 1970. What is written is an OCI image layout, which skopeo and podman read too.",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the image to `DIR`, which isn't there yet"},
					&cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("the digest")},
				},
				Action: build,
			},
			{
				Name:      "push",
				HelpName:  "xdpmux image push",
				Usage:     "put an image into a registry, and print its name with its digest",
				ArgsUsage: "<dir> <image>",
				Flags:     []cli.Flag{&cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("the name")}},
				Action:    push,
			},
			{
				Name:      "inspect",
				HelpName:  "xdpmux image inspect",
				Usage:     "show what a registry says of images: digest, size, platforms, programs and maps, signatures",
				ArgsUsage: "<image>...",
				Flags:     []cli.Flag{KeyFlag(), &cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("the images")}},
				Action:    inspect,
			},
			{
				Name:      "pull",
				HelpName:  "xdpmux image pull",
				Usage:     "fetch images into the store, and print their names with their digests",
				ArgsUsage: "<image>...",
				Description: "What is in the store can be loaded by its digest without the registry, and by its tag while the registry " +
					"can't be reached. Credentials are those of docker and podman.",
				Flags:  []cli.Flag{KeyFlag(), &cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("the images")}},
				Action: pull,
			},
		},
	}
}

// FetchCommand is what [Fetch] starts xdpmux-image with. Nobody else calls it.
func FetchCommand(action cli.ActionFunc) *cli.Command {
	return &cli.Command{
		Name:   "fetch",
		Hidden: true,
		Usage:  "fetch the image that standard input asks for, and print it with its object",
		Action: action,
	}
}
