package help

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// OwnFlags are a command's options without those of every command.
func OwnFlags(command *cli.Command) []cli.Flag {
	n := len(command.Flags) - len(CommonFlags()) // prepare appends them
	return command.Flags[:max(n, 0)]
}

// Option is what help says of an option.
type Option struct {
	Long, Short string // without dashes; Short may be empty
	Metavar     string // empty: it takes no value
	Text        string
}

// Describe takes an option's help from its definition.
func Describe(flag cli.Flag) Option {
	f := flag.(cli.DocGenerationFlag)
	names := flag.Names()
	o := Option{Long: names[0], Text: f.GetUsage()}
	if len(names) > 1 {
		o.Short = names[1]
	}
	if before, after, found := strings.Cut(o.Text, "`"); found {
		o.Metavar, after, _ = strings.Cut(after, "`")
		o.Text = before + o.Metavar + after
	}
	if text, ok := flag.(*cli.StringFlag); ok && text.Value != "" {
		o.Text += " (default: " + text.Value + ")"
	}
	return o
}

// Term is the option as it is typed, such as "-m, --mode MODE".
func (o Option) Term() string {
	term := "    --" + o.Long
	if o.Short != "" {
		term = "-" + o.Short + ", --" + o.Long
	}
	if o.Metavar != "" {
		term += " " + o.Metavar
	}
	return term
}

// CommonFlags are the options of every command.
func CommonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show the causes of errors and what libxdp says; twice: and libbpf"},
		&cli.StringFlag{Name: "netns", Usage: "act in the network namespace `NAME`, or that of a path, with the bpffs of this one"},
		&cli.BoolFlag{Name: "version", Usage: "print the versions of xdpmux, libxdp and libbpf"},
		&cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "show this help"},
	}
}

// FullName is a command's name with those of the commands that it belongs to, such as
// "map dump".
func FullName(command *cli.Command) string {
	if command.HelpName == "" {
		return command.Name
	}
	return strings.TrimPrefix(command.HelpName, "xdpmux ")
}
