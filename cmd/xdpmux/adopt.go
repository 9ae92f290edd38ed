package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/images"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// adoptFlag takes a program that has no dispatcher into the chain.
var adoptFlag = &cmdline.OptionalFlag{
	StringFlag: cli.StringFlag{Name: "adopt", Usage: "take the program that runs there without a dispatcher into the chain, which was loaded from `FILE`; without it, from the file that xdpmux has loaded it from"},
	IsValue:    isObjectFile,
}

// isObjectFile says whether the word behind --adopt is an object file, with settings or without.
// Otherwise it is the interface.
func isObjectFile(word string) bool {
	spec, _ := parseFileSpec(word, xdp.Program{})
	if strings.HasPrefix(word, "-") {
		return false
	}
	_, err := os.Stat(spec.File)
	return err == nil || word == placeholder || strings.Contains(spec.File, "/") || strings.HasSuffix(spec.File, ".o")
}

// adopt says what the program was loaded from that is to be adopted; nil: none is.
func adopt(c *cli.Context, out *output.Printer, common xdp.Program) (func(xdp.Loaded) (xdp.Program, error), error) {
	switch file := c.String("adopt"); {
	case !c.IsSet("adopt"):
		return nil, nil
	case file == "":
		return func(p xdp.Loaded) (xdp.Program, error) { return desired.Source(c.Context, p) }, nil
	default:
		// The options of the call are about the files that it loads.
		p, err := parseFileSpec(file, xdp.Program{MapSizes: common.MapSizes})
		if err == nil {
			err = images.FetchPrograms(c.Context, out, c.StringSlice("verify-key"), &p)
		}
		return func(xdp.Loaded) (xdp.Program, error) { return p, nil }, err
	}
}

// adoptedJSON is the shape of a program in load --json that was adopted.
type adoptedJSON struct {
	dispatcher.Component
	Was      uint32   `json:"was"`       // the id that it had without a dispatcher
	KeptMaps []string `json:"kept_maps"` // its maps, all of which it still has
}

func adoptedOf(d *dispatcher.Attachment) *adoptedJSON {
	if d.Adopted == nil {
		return nil
	}
	return &adoptedJSON{d.Adopted.New, d.Adopted.Old, d.Adopted.KeptMaps}
}

// tellAdopted says with -v what was adopted.
func tellAdopted(out *output.Printer, d *dispatcher.Attachment) {
	if out.Verbosity == 0 || d.Adopted == nil {
		return
	}
	p := d.Adopted.New
	out.Say("xdpmux: ", fmt.Sprintf("adopted %s on %s: id %d, before %d, priority %d, actions %v, maps kept: %s",
		p.Name, d.Interface.Name, p.ID, d.Adopted.Old, p.Priority, p.Actions, listOrNone(d.Adopted.KeptMaps)))
}
