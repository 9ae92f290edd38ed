package main

import (
	"fmt"
	"io"
	"maps"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/images"
	"github.com/xdpmux/xdpmux/cmd/internal/observer"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
)

// statusChanges is the exit status of plan if something is to be done.
const statusChanges cmdline.ExitStatus = 2

func planCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:      "plan",
		Usage:     "show what apply would change; exit status 0: nothing, 2: something",
		ArgsUsage: "-f <file>...",
		Description: "With --pcap or --live packets are sent through copies of the chains, as they are and as apply would make them. " +
			"What runs isn't touched. The exit status is then 0 if no packet would meet something else, and 2 if one would.",
		Flags: append(append(stateFlags(), rehearseFlags("")...),
			&cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("the changes, or with --pcap and --live what became of the packets")}),
		Action: func(c *cli.Context) error {
			changes, err := plan(c, out)
			if err == nil && changes {
				return statusChanges
			}
			return err
		},
	}
}

// stateFlags are those of every command that reads state files.
func stateFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "file", Aliases: []string{"f"}, Usage: "read the state from `FILE` (- is standard input), or from the .yaml, .yml and .json files of a directory; can be given several times"},
		&cli.BoolFlag{Name: "prune", Usage: "remove programs of other tools from the interfaces that the state names"},
		images.KeyFlag(),
		&cli.BoolFlag{Name: "adopt", Usage: "replace programs of other tools that have the name of one of the state, instead of adding that beside them"},
	}
}

// plan shows what is to be done and says whether that is anything.
func plan(c *cli.Context, out *output.Printer) (changes bool, err error) {
	if err := checkRehearsal(c, true); err != nil {
		return false, err
	}
	state, opts, err := readState(c, out)
	if err != nil {
		return false, err
	}
	plans, err := state.Plan(c.Context, opts)
	if err != nil {
		return false, err
	}
	if rehearses(c) {
		return false, rehearsePlans(c, out, plans, state.Trial)
	}
	for _, p := range plans {
		changes = changes || len(p.Steps) > 0
	}
	return changes, printPlans(c, out, plans, state.Trial)
}

// rehearsePlans sends packets through chains as they are and as they would be. Where a plan
// can't be carried out, it says so instead.
func rehearsePlans(c *cli.Context, out *output.Printer, plans []*desired.Plan, trial desired.Trial) error {
	if c.String("pcap") == "-" && cmdline.FromStdin(stateFiles(c)) {
		return cmdline.UsageError("both the state and the packets are to come from standard input", "give one of them as a file")
	}
	var changes []observer.Change
	possible := true
	for _, p := range plans {
		if p.Err != nil {
			possible = false
			continue
		}
		change, err := observer.NewChange(c.Context, p.Interface.Name, p.Transaction())
		if err != nil {
			return err
		}
		maps.Copy(change.LoadedFrom, p.Adopted())
		changes = append(changes, change)
	}
	if !possible || !c.Bool("json") {
		if err := printPlans(c, out, plans, trial); err != nil {
			return err
		}
		fmt.Fprintln(out.Stdout)
	}
	return startRehearsal(c, out, changes...)
}

// stateFiles are the names of the state files.
func stateFiles(c *cli.Context) []string { return append(c.StringSlice("file"), c.Args().Slice()...) }

func readState(c *cli.Context, out *output.Printer) (*desired.State, desired.Options, error) {
	out.InFull = true
	opts := desired.Options{Prune: c.Bool("prune"), Adopt: c.Bool("adopt")}
	files := stateFiles(c)
	if len(files) == 0 {
		return nil, opts, cmdline.UsageError(c.Command.Name+" needs a state file", "xdpmux "+c.Command.Name+" -f <file>...")
	}
	state, err := cmdline.ReadState(c.Context, files)
	if err == nil {
		images.FetchState(c.Context, out, state, c.StringSlice("verify-key"))
	}
	return state, opts, err
}

// planJSON is the shape of an interface in plan --json and apply --json.
type planJSON struct {
	desired.Plan
	Trial *desired.Trial `json:"trial,omitempty"`
	Error string         `json:"error,omitempty"`
}

// printPlans prints what was planned or done, how it will be tried, and then what went wrong.
func printPlans(c *cli.Context, out *output.Printer, plans []*desired.Plan, trial desired.Trial) error {
	tries := false
	if c.Bool("json") {
		shape := make([]planJSON, len(plans))
		for i, p := range plans {
			shape[i].Plan = *p
			if trial.Tries() && len(p.Steps) > 0 {
				shape[i].Trial = &trial
			}
			if p.Err != nil {
				shape[i].Error = p.Err.Error()
			}
		}
		if err := out.PrintJSON(shape); err != nil {
			return err
		}
	} else {
		if err := renderPlans(out.Stdout, plans); err != nil {
			return err
		}
		for _, p := range plans {
			tries = tries || trial.Tries() && len(p.Steps) > 0
			if p.Lost != nil {
				out.WarnOf(p.Lost)
			}
		}
		if tries {
			fmt.Fprintln(out.Stdout, output.Shown(describeTrial(trial)))
		}
	}
	failed := false
	for _, p := range plans {
		if p.Err != nil {
			failed = true
			out.PrintError(fmt.Errorf("%s: %w", p.Interface.Name, sizedBy("map-sizes: {NAME: N} in the state file", p.Err)))
		}
	}
	if failed {
		return cmdline.ExitStatus(1)
	}
	return nil
}

// renderPlans prints the steps of each interface.
func renderPlans(w io.Writer, plans []*desired.Plan) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(plans) == 0 {
		fmt.Fprintf(t, "nothing to do: the state names no interface that is here\n")
	}
	for _, p := range plans {
		fmt.Fprintf(t, "%s\n", output.Shown(p.Interface.Name))
		for _, s := range p.Steps {
			fmt.Fprintf(t, "  %s\t%s\t%s\n", s.Action, output.Shown(s.Name), output.Shown(describe(s)))
		}
		switch {
		case p.Err != nil:
			fmt.Fprintf(t, "  failed\n")
		case len(p.Steps) == 0:
			fmt.Fprintf(t, "  nothing to do\n")
		}
	}
	return t.Flush()
}

// describeTrial is how apply tries its changes, in words.
func describeTrial(t desired.Trial) string {
	var guards []string
	if t.Guard != "" {
		guards = append(guards, fmt.Sprintf("the guard %q fails", t.Guard))
	}
	if t.GuardDrops != nil {
		guards = append(guards, fmt.Sprintf("more than %d%% more is dropped", *t.GuardDrops))
	}
	fails := strings.Join(guards, " or ")
	switch confirm := time.Duration(t.Confirm) * time.Second; {
	case t.Confirm == 0:
		return fmt.Sprintf("apply takes this back if %s within %v, and else confirms it", fails, pending.GuardedTime)
	case fails == "":
		return fmt.Sprintf("apply takes this back after %v, unless it is confirmed", confirm)
	default:
		return fmt.Sprintf("apply takes this back after %v, unless it is confirmed, and at once if %s", confirm, fails)
	}
}

// describe is what a step does, in words.
func describe(s desired.Step) string {
	var words []string
	if s.ID != 0 {
		words = append(words, fmt.Sprintf("id %d", s.ID))
	}
	switch s.Action {
	case desired.Add, desired.Replace:
		words = append(words, s.Object, fmt.Sprintf("priority %d", s.To.Priority), actionsText(s.To))
		if s.To.Frags {
			words = append(words, "frags")
		}
	case desired.Move:
		words = append(words, fmt.Sprintf("priority %d -> %d", s.From.Priority, s.To.Priority))
	case desired.Change:
		if s.From.Actions != s.To.Actions {
			words = append(words, actionsText(s.From)+" -> "+s.To.Actions.String())
		}
		if s.From.Frags != s.To.Frags {
			words = append(words, fmt.Sprintf("frags %t -> %t", s.From.Frags, s.To.Frags))
		}
	}
	if s.Binds {
		words = append(words, "binds the chain to its device for metadata, so that native tools can't change it")
	}
	text := strings.Join(words, ", ")
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	return text
}

func actionsText(p *desired.Place) string {
	if p.Actions == 0 {
		return "no actions"
	}
	return "actions " + p.Actions.String()
}
