package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/images"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func loadCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:  "load",
		Usage: "load XDP programs on interfaces, all in one step",
		Description: "A file can carry settings of its own, which win over the options: prio=N, " +
			"actions=XDP_PASS+XDP_DROP, name=FUNCTION, section=SECTION, pin=PATH.\n\n" +
			"On several interfaces the programs are loaded once and share their maps: on all, or on none.\n\n" +
			"With --adopt a program that runs there without a dispatcher joins the chain, in the same step. It is " +
			"loaded anew from FILE, which can carry settings too, and goes on with its maps and variables; it has " +
			"to be what runs. Without FILE it is loaded from what xdpmux has loaded it from before.\n\n" +
			"Nothing is printed if all went well; --json and -v tell the ids.",
		ArgsUsage: "<ifname>[,...] <file>[@setting,...]...",
		Flags:     append(append(loadFlags(), adoptFlag), append(append(dryRunFlags(), trialFlags()...), &cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("what was loaded")})...),
		Action:    func(c *cli.Context) error { return withMapSize(load(c, out)) },
	}
}

// loadFlags are the options of the commands that load a program.
func loadFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "mode", Aliases: []string{"m"}, Value: xdp.ModeNative.String(), Usage: "attach in `MODE`: " + strings.Join(xdp.ModeNames(), ", ")},
		pinPathFlag, sectionFlag, progNameFlag, images.KeyFlag(),
		prioFlag("what the file says, else 50"),
		actionsFlag("what the file says, else XDP_PASS"),
		mapSizeFlag, nativeFlag,
		&cli.BoolFlag{Name: "require-dispatcher", Usage: "fail where only a single program without a dispatcher could be loaded"},
	}
}

// loadOptions reads loadFlags. The program that it returns has no file yet.
func loadOptions(c *cli.Context) (xdp.Program, dispatcher.AttachOptions, error) {
	program := xdp.Program{Section: c.String("section"), Name: c.String("prog-name"), PinPath: c.String("pin-path")}
	opts := dispatcher.AttachOptions{RequireDispatcher: c.Bool("require-dispatcher"), NativeCompatible: c.Bool("native-compatible")}
	var err error
	if opts.Mode, err = xdp.ParseMode(c.String("mode")); err != nil {
		return program, opts, err
	}
	if program.MapSizes, err = mapSizes(c); err != nil {
		return program, opts, err
	}
	if program.Priority, err = parsePrio(c.String("prio")); err != nil {
		return program, opts, err
	}
	if c.IsSet("actions") {
		actions, err := xdp.ParseActions(c.String("actions"))
		if err != nil {
			return program, opts, err
		}
		program.Actions = &actions
	}
	return program, opts, nil
}

func load(c *cli.Context, out *output.Printer) error {
	if c.NArg() < 2 && !(c.NArg() == 1 && c.IsSet("adopt")) {
		return cmdline.UsageError("load needs an interface and at least one file", "xdpmux load [options] <ifname> <file>...")
	}
	if err := checkRehearsal(c, c.Bool("dry-run")); err != nil {
		return err
	}
	if _, err := trialOptions(c); err != nil {
		return err
	}
	common, opts, err := loadOptions(c)
	if err != nil {
		return err
	}
	var programs []xdp.Program
	for _, arg := range c.Args().Tail() {
		p, err := parseFileSpec(arg, common)
		if err != nil {
			return err
		}
		programs = append(programs, p)
	}
	if err := fetchImages(c, out, programs); err != nil {
		return err
	}
	if err := shareMapSizes(c.Context, programs); err != nil {
		return err
	}
	if opts.Adopt, err = adopt(c, out, common); err != nil {
		return err
	}
	opts.Warn, opts.BeforeSwap = out.WarnOf, record(out)
	ifnames := cmdline.SplitNames(c.Args().First())
	if c.Bool("dry-run") {
		previews, err := dispatcher.PreviewAttach(c.Context, ifnames, programs, opts)
		if err != nil {
			return err
		}
		return showPreviews(c, out, ifnames, dispatcher.Transaction{Mode: opts.Mode, Add: programs, Adopt: opts.Adopt}, previews...)
	}
	return tried(c, out, these(ifnames...), func(changing func(*dispatcher.Changing) error) error {
		opts.Changing = changing
		return loadNow(c, out, ifnames, programs, opts)
	})
}

// fetchImages gets the objects that are images.
func fetchImages(c *cli.Context, out *output.Printer, programs []xdp.Program) error {
	each := make([]*xdp.Program, len(programs))
	for i := range programs {
		each[i] = &programs[i]
	}
	return images.FetchPrograms(c.Context, out, c.StringSlice("verify-key"), each...)
}

// loadNow loads programs, and says what was loaded.
func loadNow(c *cli.Context, out *output.Printer, ifnames []string, programs []xdp.Program, opts dispatcher.AttachOptions) error {
	done, err := attach(c.Context, out, ifnames, programs, opts)
	if err != nil {
		return err
	}
	loaded := make([]loadedJSON, len(done))
	for i, d := range done {
		warnFallback(out, d)
		tellLoaded(out, d.Interface.Name, d.Programs...)
		tellAdopted(out, d)
		loaded[i] = loadedJSON{d.Interface, d.Programs, adoptedOf(d), d.Fallback}
	}
	if c.Bool("json") {
		return out.PrintJSON(loaded)
	}
	return nil
}

// loadedJSON is the shape of an interface in load --json.
type loadedJSON struct {
	Interface xdp.Interface          `json:"interface"`
	Programs  []dispatcher.Component `json:"programs"`           // in the order of the call
	Adopted   *adoptedJSON           `json:"adopted,omitempty"`  // what ran without a dispatcher before
	Fallback  string                 `json:"fallback,omitempty"` // why the program runs without a dispatcher
}

// attach loads programs on one interface, or on several.
func attach(ctx context.Context, out *output.Printer, ifnames []string, programs []xdp.Program, opts dispatcher.AttachOptions) (done []*dispatcher.Attachment, err error) {
	err = recorded(ctx, out, func(ctx context.Context) (err error) {
		if len(ifnames) > 1 {
			each, end := progress(out.Stderr, ifnames)
			defer end()
			done, err = dispatcher.AttachAll(ctx, ifnames, programs, dispatcher.AttachAllOptions{AttachOptions: opts, Progress: each})
			return err
		}
		one, err := dispatcher.Attach(ctx, ifnames[0], programs, opts)
		done = []*dispatcher.Attachment{one}
		return err
	}, ifnames...)
	return done, err
}

// tellLoaded says with -v what was loaded.
func tellLoaded(out *output.Printer, ifname string, programs ...dispatcher.Component) {
	if out.Verbosity == 0 {
		return
	}
	for _, p := range programs {
		out.Say("xdpmux: ", fmt.Sprintf("loaded %s on %s: id %d, priority %d, actions %v", p.Name, ifname, p.ID, p.Priority, p.Actions))
	}
}

// warnFallback tells of a program that runs without a dispatcher.
func warnFallback(out *output.Printer, done *dispatcher.Attachment) {
	if done.Fallback != "" {
		out.Warn("%s runs without a dispatcher, so no other program can share %s: %s", done.Programs[0].Name, done.Interface.Name, done.Fallback)
	}
}

// parsePrio reads a priority as xdp-loader does. 0 means "not set".
func parsePrio(s string) (*uint32, error) {
	if s == "" {
		return nil, nil
	}
	n, err := parseNumber(s)
	if err != nil || n == 0 {
		return nil, err
	}
	return &n, nil
}
