package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// What help says of every command, in a narrow terminal and in a wide one.
func TestHelp(t *testing.T) {
	app := newApp(&output{})
	for _, command := range append(commandsOf(app.Commands), app.Commands...) {
		for _, width := range []int{40, helpWidth, maxHelpWidth} {
			h := helpText{width: width}
			h.command(command)
			for _, line := range strings.Split(h.String(), "\n") {
				// A word that is longer, such as an address, isn't broken, nor an example.
				if utf8.RuneCountInString(line) > width && len(strings.Fields(line)) > 1 && !strings.HasPrefix(line, "  xdpmux ") && !strings.HasPrefix(line, "  eval ") {
					t.Errorf("%s: more than %d columns: %q", fullName(command), width, line)
				}
				if strings.Count(line, "(default") > 1 || strings.Contains(line, "false") || strings.Contains(line, "value") && strings.HasPrefix(line, "  -") {
					t.Errorf("%s: %q", fullName(command), line)
				}
			}
		}
	}
	h := helpText{width: helpWidth}
	h.app(app)
	for _, c := range app.Commands {
		if shown := strings.Contains(h.String(), "\n  "+c.Name+" "); shown == c.Hidden {
			t.Errorf("%s: shown: %t", c.Name, shown)
		}
	}
}

// Every option says what its value is, and its default once at most.
func TestOptionsAreDescribed(t *testing.T) {
	for _, command := range commandsOf(newApp(&output{}).Commands) {
		for _, flag := range command.Flags {
			o := describeFlag(flag)
			if newOption(command, flag).takesValue != (o.metavar != "") {
				t.Errorf("%s %s: metavar %q", fullName(command), o.long, o.metavar)
			}
			if o.text == "" || strings.Contains(o.text, "`") || strings.Count(o.text, "default") > 1 {
				t.Errorf("%s %s: %q", fullName(command), o.long, o.text)
			}
		}
	}
}

// Every command has examples, and they are calls of it that are understood.
func TestExamples(t *testing.T) {
	app := newApp(&output{})
	known := map[string]bool{}
	for _, command := range commandsOf(app.Commands) {
		name := fullName(command)
		known[name] = true
		if len(examples[name]) == 0 {
			t.Errorf("%s has no example", name)
		}
		for _, e := range examples[name] {
			if len(e.call) > 76 {
				t.Errorf("%s doesn't fit into 80 columns", e.call)
			}
			call, _, _ := strings.Cut(e.call, "|")
			call, _, _ = strings.Cut(call, ">")
			call = strings.NewReplacer(`eval "$(`, "", `)"`, "").Replace(call)
			args, err := normalize(app, strings.Fields(call)[1:])
			if err != nil || !strings.HasPrefix(strings.Join(args, " ")+" ", name+" ") {
				t.Errorf("%s: %q, %v", e.call, args, err)
			}
		}
	}
	for name := range examples {
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
	app := newApp(&output{})
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `xdpmux ([^`]+)` \\|(.*)\\|$").FindAllStringSubmatch(table, -1) {
		command := &cli.Command{Subcommands: app.Commands}
		for _, word := range strings.Fields(row[1]) {
			if len(command.Subcommands) == 0 {
				break
			}
			if command, err = findCommand(command.Subcommands, "", word); err != nil {
				t.Fatalf("%s: %v", row[1], err)
			}
		}
		listed[fullName(command)] = true
		for _, m := range regexp.MustCompile(`(?:^|[ (\x60])--?([a-z][a-z-]*|[A-Za-z])\b`).FindAllStringSubmatch(row[1]+row[2], -1) {
			if findFlag(command, m[1]) == nil {
				t.Errorf("xdpmux %s: it has no option %s", row[1], m[1])
			}
		}
	}
	for _, command := range commandsOf(app.Commands) {
		if !listed[fullName(command)] {
			t.Errorf("the README's table lacks %s", fullName(command))
		}
	}
}
