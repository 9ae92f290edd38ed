package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/help"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
)

// What help says of every command, in a narrow terminal and in a wide one.
func TestHelp(t *testing.T) {
	app := newApp(&output.Printer{})
	for _, command := range append(commandsOf(app.Commands), app.Commands...) {
		for _, width := range []int{40, 80, 100} {
			for _, line := range strings.Split(help.Command(command, width), "\n") {
				// A word that is longer, such as an address, isn't broken, nor an example.
				if utf8.RuneCountInString(line) > width && len(strings.Fields(line)) > 1 && !strings.HasPrefix(line, "  xdpmux ") && !strings.HasPrefix(line, "  eval ") {
					t.Errorf("%s: more than %d columns: %q", help.FullName(command), width, line)
				}
				if strings.Count(line, "(default") > 1 || strings.Contains(line, "false") || strings.Contains(line, "value") && strings.HasPrefix(line, "  -") {
					t.Errorf("%s: %q", help.FullName(command), line)
				}
			}
		}
	}
	whole := help.App(app, 80)
	for _, c := range app.Commands {
		if shown := strings.Contains(whole, "\n  "+c.Name+" "); shown == c.Hidden {
			t.Errorf("%s: shown: %t", c.Name, shown)
		}
	}
}

// Every option says what its value is, and its default once at most.
func TestOptionsAreDescribed(t *testing.T) {
	for _, command := range commandsOf(newApp(&output.Printer{}).Commands) {
		for _, flag := range command.Flags {
			o := help.Describe(flag)
			if flag.(cli.DocGenerationFlag).TakesValue() != (o.Metavar != "") {
				t.Errorf("%s %s: metavar %q", help.FullName(command), o.Long, o.Metavar)
			}
			if o.Text == "" || strings.Contains(o.Text, "`") || strings.Count(o.Text, "default") > 1 {
				t.Errorf("%s %s: %q", help.FullName(command), o.Long, o.Text)
			}
		}
	}
}

// Every command has examples, and they are calls of it that are understood.
func TestExamples(t *testing.T) {
	app := newApp(&output.Printer{})
	known := map[string]bool{}
	for _, command := range commandsOf(app.Commands) {
		name := help.FullName(command)
		known[name] = true
		if len(help.Examples[name]) == 0 {
			t.Errorf("%s has no example", name)
		}
		for _, e := range help.Examples[name] {
			if len(e.Call) > 76 {
				t.Errorf("%s doesn't fit into 80 columns", e.Call)
			}
			call, _, _ := strings.Cut(e.Call, "|")
			call, _, _ = strings.Cut(call, ">")
			call = strings.NewReplacer(`eval "$(`, "", `)"`, "").Replace(call)
			args, err := cmdline.Normalize(app, strings.Fields(call)[1:])
			if err != nil || !strings.HasPrefix(strings.Join(args, " ")+" ", name+" ") {
				t.Errorf("%s: %q, %v", e.Call, args, err)
			}
		}
	}
	for name := range help.Examples {
		if !known[name] {
			t.Errorf("examples of %s, which is no command", name)
		}
	}
}

// The README's table has every command, as it is called, with options that it has.
func TestReadmeListsCommands(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	must(t, err)
	_, table, _ := strings.Cut(string(readme), "\n## Commands\n")
	table, _, _ = strings.Cut(table, "\n## ")
	app := newApp(&output.Printer{})
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `xdpmux ([^`]+)` \\|(.*)\\|$").FindAllStringSubmatch(table, -1) {
		command := &cli.Command{Subcommands: app.Commands}
		for _, word := range strings.Fields(row[1]) {
			if len(command.Subcommands) == 0 {
				break
			}
			if command, err = cmdline.FindCommand(command.Subcommands, "", word); err != nil {
				t.Fatalf("%s: %v", row[1], err)
			}
		}
		listed[help.FullName(command)] = true
		for _, m := range regexp.MustCompile(`(?:^|[ (\x60])--?([a-z][a-z-]*|[A-Za-z])\b`).FindAllStringSubmatch(row[1]+row[2], -1) {
			if !hasOption(command, m[1]) {
				t.Errorf("xdpmux %s: it has no option %s", row[1], m[1])
			}
		}
	}
	for _, command := range commandsOf(app.Commands) {
		if !listed[help.FullName(command)] {
			t.Errorf("the README's table lacks %s", help.FullName(command))
		}
	}
}

// hasOption says whether a command has an option of this name or letter.
func hasOption(command *cli.Command, name string) bool {
	return slices.ContainsFunc(command.Flags, func(flag cli.Flag) bool { return slices.Contains(flag.Names(), name) })
}
