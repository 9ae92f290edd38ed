package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

func helpCommand(out *output) *cli.Command {
	return &cli.Command{
		Name:      "help",
		Usage:     "list the commands, or the options of one",
		ArgsUsage: "[command]...",
		Action: func(c *cli.Context) error {
			command, of := &cli.Command{Subcommands: c.App.Commands}, ""
			for _, name := range c.Args().Slice() {
				var err error
				if command, err = findCommand(command.Subcommands, of, name); err != nil {
					return err
				}
				of += command.Name + " "
			}
			return printHelp(out, c.App, command)
		},
	}
}

// The widths that help is written for: what isn't a terminal gets 80 columns, and a
// wide one no lines that are hard to read.
const helpWidth, maxHelpWidth = 80, 100

// printHelp prints what there is to know of a command, or of all for one without a
// name.
func printHelp(out *output, app *cli.App, command *cli.Command) error {
	width := helpWidth
	if _, columns := terminalSize(out.stdout); columns > 0 {
		width = min(columns, maxHelpWidth)
	}
	var h helpText
	h.width = width
	if command.Name == "" {
		h.app(app)
	} else {
		h.command(command)
	}
	_, err := io.WriteString(out.stdout, h.String())
	return err
}

// helpText writes help for a number of columns.
type helpText struct {
	strings.Builder
	width int
}

func (h *helpText) app(app *cli.App) {
	h.wrapped(0, 0, app.Name+" - "+app.Usage)
	h.WriteString("\nUsage: " + app.Name + " <command> [options] [arguments]\n\n")
	h.wrapped(0, 0, app.Description)
	h.commands(app.Commands)
	h.options("Options of every command", commonFlags())
	h.WriteByte('\n')
	h.wrapped(0, 0, "xdpmux help COMMAND tells the rest of one. Options may stand anywhere, also before the command; "+
		"of names of commands and options the beginning is enough if it is clear. Several interfaces are named as eth0,eth1 or as eth0 eth1.")
}

func (h *helpText) command(command *cli.Command) {
	h.wrapped(0, 0, "xdpmux "+fullName(command)+" - "+command.Usage)
	h.WriteByte('\n')
	h.wrapped(0, 7, "Usage: "+synopsis(command))
	for _, paragraph := range paragraphs(command.Description) {
		h.WriteByte('\n')
		h.wrapped(0, 0, paragraph)
	}
	h.commands(command.Subcommands)
	h.options("Options", ownFlags(command))
	h.options("Options of every command", commonFlags())
	if all := examplesOf(command); len(all) > 0 {
		h.WriteString("\nExamples:\n")
		for _, e := range all {
			h.wrapped(2, 4, "# "+e.what)
			h.WriteString("  " + e.call + "\n")
		}
	}
}

func (h *helpText) commands(commands []*cli.Command) {
	if len(commands) == 0 {
		return
	}
	h.WriteString("\nCommands:\n")
	var terms, texts []string
	for _, c := range commands {
		if !c.Hidden {
			terms, texts = append(terms, c.Name), append(texts, c.Usage)
		}
	}
	h.list(terms, texts)
}

func (h *helpText) options(title string, flags []cli.Flag) {
	if len(flags) == 0 {
		return
	}
	h.WriteString("\n" + title + ":\n")
	var terms, texts []string
	for _, flag := range flags {
		o := describeFlag(flag)
		terms, texts = append(terms, o.term()), append(texts, o.text)
	}
	h.list(terms, texts)
}

// list writes terms with what each is, beside it or, where that gets too narrow,
// below it.
func (h *helpText) list(terms, texts []string) {
	column := 0
	for _, term := range terms {
		column = max(column, 2+len(term)+2)
	}
	below := h.width-column < 40
	if below {
		column = 8
	}
	for i, term := range terms {
		if below {
			h.WriteString("  " + term + "\n")
			h.wrapped(column, column, texts[i])
			continue
		}
		fmt.Fprintf(h, "%-*s", column, "  "+term)
		h.fill(column, column, texts[i])
	}
}

// wrapped writes a text in lines, the first of which is indented by first columns and
// the others by rest.
func (h *helpText) wrapped(first, rest int, text string) {
	h.WriteString(strings.Repeat(" ", first))
	h.fill(first, rest, text)
}

// fill is wrapped where the first line has begun already.
func (h *helpText) fill(first, rest int, text string) {
	at := first
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+n > h.width:
			h.WriteString("\n" + strings.Repeat(" ", rest))
			at = rest
		default:
			h.WriteByte(' ')
			at++
		}
		h.WriteString(word)
		at += n
	}
	h.WriteByte('\n')
}

// paragraphs takes a description apart at its blank lines.
func paragraphs(description string) []string {
	if description == "" {
		return nil
	}
	return strings.Split(description, "\n\n")
}

// synopsis is how a command is called.
func synopsis(command *cli.Command) string {
	words := []string{"xdpmux", fullName(command)}
	if len(command.Subcommands) > 0 {
		return strings.Join(append(words, "<command>", "[options]", "[arguments]"), " ")
	}
	if len(ownFlags(command)) > 0 {
		words = append(words, "[options]")
	}
	return strings.TrimSpace(strings.Join(append(words, command.ArgsUsage), " "))
}

// ownFlags are a command's options without those of every command.
func ownFlags(command *cli.Command) []cli.Flag {
	n := len(command.Flags) - len(commonFlags()) // prepare appends them
	return command.Flags[:max(n, 0)]
}

// optionHelp is what help says of an option.
type optionHelp struct {
	long, short string // without dashes; short may be empty
	metavar     string // empty: it takes no value
	text        string
}

func describeFlag(flag cli.Flag) optionHelp {
	f := flag.(cli.DocGenerationFlag)
	names := flag.Names()
	o := optionHelp{long: names[0]}
	if len(names) > 1 {
		o.short = names[1]
	}
	var before, after string
	o.text = f.GetUsage()
	before, after, found := strings.Cut(o.text, "`")
	if found {
		o.metavar, after, _ = strings.Cut(after, "`")
		o.text = before + o.metavar + after
	}
	if text, ok := flag.(*cli.StringFlag); ok && text.Value != "" {
		o.text += " (default: " + text.Value + ")"
	}
	return o
}

// term is the option as it is typed, such as "-m, --mode MODE".
func (o optionHelp) term() string {
	term := "    --" + o.long
	if o.short != "" {
		term = "-" + o.short + ", --" + o.long
	}
	if o.metavar != "" {
		term += " " + o.metavar
	}
	return term
}
