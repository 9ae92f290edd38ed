// Package help is what there is to read of commands: the text of --help, and the man page.
package help

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/terminal"
)

// Help is written for the width of the terminal, up to maxWidth: longer lines are hard to
// read. Where there is no terminal it has usualWidth columns.
const usualWidth, maxWidth = 80, 100

// Print prints the help of a command. That of a command without a name is the program's.
func Print(w io.Writer, app *cli.App, command *cli.Command) error {
	width := usualWidth
	if _, columns := terminal.Size(w); columns > 0 {
		width = min(columns, maxWidth)
	}
	text := ""
	if command.Name == "" {
		text = App(app, width)
	} else {
		text = Command(command, width)
	}
	_, err := io.WriteString(w, text)
	return err
}

// App is the help of a program, for a terminal of that many columns.
func App(app *cli.App, width int) string {
	h := writer{width: width}
	h.app(app)
	return h.String()
}

// Command is the help of a command, for a terminal of that many columns.
func Command(command *cli.Command, width int) string {
	h := writer{width: width}
	h.command(command)
	return h.String()
}

// writer writes help for a number of columns.
type writer struct {
	strings.Builder
	width int
}

func (h *writer) app(app *cli.App) {
	h.wrapped(0, 0, app.Name+" - "+app.Usage)
	h.WriteString("\nUsage: " + app.Name + " <command> [options] [arguments]\n\n")
	h.wrapped(0, 0, app.Description)
	h.commands(app.Commands)
	h.options("Options of every command", CommonFlags())
	h.WriteByte('\n')
	h.wrapped(0, 0, "xdpmux help COMMAND tells the rest of one. Options may stand anywhere, also before the command; "+
		"of names of commands and options the beginning is enough if it is clear. Several interfaces are named as eth0,eth1 or as eth0 eth1.")
}

func (h *writer) command(command *cli.Command) {
	h.wrapped(0, 0, "xdpmux "+FullName(command)+" - "+command.Usage)
	h.WriteByte('\n')
	h.wrapped(0, 7, "Usage: "+Synopsis(command))
	for _, paragraph := range paragraphs(command.Description) {
		h.WriteByte('\n')
		h.wrapped(0, 0, paragraph)
	}
	h.commands(command.Subcommands)
	h.options("Options", OwnFlags(command))
	h.options("Options of every command", CommonFlags())
	if all := ExamplesOf(command); len(all) > 0 {
		h.WriteString("\nExamples:\n")
		for _, e := range all {
			h.wrapped(2, 4, "# "+e.What)
			h.WriteString("  " + e.Call + "\n")
		}
	}
}

func (h *writer) commands(commands []*cli.Command) {
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

func (h *writer) options(title string, flags []cli.Flag) {
	if len(flags) == 0 {
		return
	}
	h.WriteString("\n" + title + ":\n")
	var terms, texts []string
	for _, flag := range flags {
		o := Describe(flag)
		terms, texts = append(terms, o.Term()), append(texts, o.Text)
	}
	h.list(terms, texts)
}

// list writes terms, each with its text beside it. Where that gets too narrow the text
// stands below.
func (h *writer) list(terms, texts []string) {
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

// wrapped writes a text in lines. It indents the first one by first columns and the others
// by rest.
func (h *writer) wrapped(first, rest int, text string) {
	h.WriteString(strings.Repeat(" ", first))
	h.fill(first, rest, text)
}

// fill is wrapped for a first line that has first columns already.
func (h *writer) fill(first, rest int, text string) {
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

// Synopsis is how a command is called.
func Synopsis(command *cli.Command) string {
	words := []string{"xdpmux", FullName(command)}
	if len(command.Subcommands) > 0 {
		return strings.Join(append(words, "<command>", "[options]", "[arguments]"), " ")
	}
	if len(OwnFlags(command)) > 0 {
		words = append(words, "[options]")
	}
	return strings.TrimSpace(strings.Join(append(words, command.ArgsUsage), " "))
}
