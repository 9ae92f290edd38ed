package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// nativeCommands are those of xdp-loader. A prefix that means one of them there
// means it here too, whatever else begins with it.
var nativeCommands = []string{"load", "unload", "status", "clean", "features", "help"}

// normalize rewrites a command line as getopt_long(3) would understand it to one
// that cli understands, which stops looking for options at the first argument:
//
//	stat veth0 -vv            ->  status --verbose --verbose -- veth0
//	load veth0 a.o -mskb -P5  ->  load --mode=skb --prio=5 -- veth0 a.o
func normalize(app *cli.App, args []string) ([]string, error) {
	var leading []string // options before the command
	for len(args) > 0 && strings.HasPrefix(args[0], "-") && args[0] != "-" {
		leading, args = append(leading, args[0]), args[1:]
	}
	if len(args) == 0 {
		return leading, nil
	}
	help := &cli.Command{Name: "help"} // cli's own
	command, err := findCommand(append(slices.Clone(app.Commands), help), "", args[0])
	if err != nil {
		return nil, err
	}
	return normalizeCommand(command, nil, append(leading, args[1:]...))
}

// countVerbose says how often a normalized command line has --verbose, which cli
// counts once more for each alias and command.
func countVerbose(args []string) int {
	n := 0
	for _, arg := range args {
		switch arg {
		case "--":
			return n
		case "--verbose":
			n++
		}
	}
	return n
}

func normalizeCommand(command *cli.Command, path, args []string) ([]string, error) {
	path = append(path, command.Name)
	if command.Name == "help" {
		return append(path, args...), nil
	}
	if len(command.Subcommands) > 0 {
		return normalizeSubcommand(command, path, args)
	}
	options, rest, err := splitOptions(command, args)
	if err != nil {
		return nil, err
	}
	path = append(path, options...)
	if len(rest) > 0 {
		path = append(append(path, "--"), rest...)
	}
	return path, nil
}

// normalizeSubcommand finds the subcommand as normalize finds a command.
func normalizeSubcommand(command *cli.Command, path, args []string) ([]string, error) {
	at := slices.IndexFunc(args, func(arg string) bool { return !strings.HasPrefix(arg, "-") || arg == "-" })
	if at < 0 {
		options, _, err := splitOptions(command, args)
		return append(path, options...), err
	}
	sub, err := findCommand(command.Subcommands, command.Name+" ", args[at])
	if err != nil {
		return nil, err
	}
	return normalizeCommand(sub, path, slices.Delete(slices.Clone(args), at, at+1))
}

// findCommand resolves a command's name or unambiguous prefix; of is what comes
// before it on the command line.
func findCommand(commands []*cli.Command, of, name string) (*cli.Command, error) {
	var matches []*cli.Command
	for _, c := range commands {
		if c.Name == name {
			return c, nil
		}
		if strings.HasPrefix(c.Name, name) && name != "" && !c.Hidden {
			matches = append(matches, c)
		}
	}
	if len(matches) > 1 {
		native := slices.DeleteFunc(slices.Clone(matches), func(c *cli.Command) bool { return !slices.Contains(nativeCommands, c.Name) })
		if len(native) == 1 {
			matches = native
		}
	}
	switch len(matches) {
	case 1:
		return matches[0], nil
	case 0:
		if of != "" {
			return nil, usageError(fmt.Sprintf("unknown command %q", of+name), "xdpmux "+of+"--help lists its commands")
		}
		return nil, usageError(fmt.Sprintf("unknown command %q", name), "xdpmux help lists the commands")
	}
	var names []string
	for _, c := range matches {
		names = append(names, c.Name)
	}
	return nil, usageError(fmt.Sprintf("command %q is ambiguous", name), "it could be: "+strings.Join(names, ", "))
}

// splitOptions separates a command's options, each written out as --name or
// --name=value, from its arguments.
func splitOptions(command *cli.Command, args []string) (options, rest []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return options, append(rest, args...), nil
		case strings.HasPrefix(arg, "--"):
			name, value, hasValue := strings.Cut(arg[2:], "=")
			flag, err := findLong(command, name)
			if err != nil {
				return nil, nil, err
			}
			var option string
			if option, args, err = flag.write(arg, value, hasValue, args); err != nil {
				return nil, nil, err
			}
			options = append(options, option)
		case strings.HasPrefix(arg, "-") && arg != "-":
			var shorts []string
			if shorts, args, err = splitShort(command, arg, args); err != nil {
				return nil, nil, err
			}
			options = append(options, shorts...)
		default:
			rest = append(rest, arg)
		}
	}
	return options, rest, nil
}

// splitShort takes joined short options apart; the first that takes a value has
// the rest of the word, or the next argument, for it.
func splitShort(command *cli.Command, arg string, args []string) (options, rest []string, err error) {
	for letters := arg[1:]; letters != ""; {
		flag := findFlag(command, letters[:1])
		if flag == nil {
			return nil, nil, unknownOption(command, "-"+letters[:1])
		}
		letters = letters[1:]
		value, hasValue := strings.TrimPrefix(letters, "="), letters != ""
		if !flag.takesValue {
			value, hasValue = "", false
		} else {
			letters = ""
		}
		var option string
		if option, args, err = flag.write(arg, value, hasValue, args); err != nil {
			return nil, nil, err
		}
		options = append(options, option)
	}
	return options, args, nil
}

// option is what normalize has to know of a cli flag.
type option struct {
	name       string
	takesValue bool
	optional   func(value string) bool // takes a value, or the next argument if this says so, or none
}

// write makes the one form that cli is given, with the value from the next
// argument where it isn't in the option itself.
func (o *option) write(arg, value string, hasValue bool, args []string) (string, []string, error) {
	if o.optional != nil && !hasValue {
		if len(args) > 0 && o.optional(args[0]) {
			return "--" + o.name + "=" + args[0], args[1:], nil
		}
		return "--" + o.name, args, nil
	}
	switch {
	case !o.takesValue && hasValue:
		return "", nil, usageError(fmt.Sprintf("option %s takes no value", arg), "")
	case !o.takesValue:
		return "--" + o.name, args, nil
	case !hasValue && len(args) == 0:
		return "", nil, usageError(fmt.Sprintf("option %s needs a value", arg), "")
	case !hasValue:
		value, args = args[0], args[1:]
	}
	return "--" + o.name + "=" + value, args, nil
}

func newOption(flag cli.Flag) *option {
	takesValue := true
	if f, ok := flag.(cli.DocGenerationFlag); ok {
		takesValue = f.TakesValue()
	}
	o := &option{name: flag.Names()[0], takesValue: takesValue}
	if f, ok := flag.(*cli.GenericFlag); ok {
		if _, ok := f.Value.(*interval); ok {
			o.optional = func(value string) bool { return new(interval).Set(value) == nil }
		}
	}
	return o
}

// flagsOf are the command's flags and cli's own for help.
func flagsOf(command *cli.Command) []cli.Flag {
	return append(slices.Clone(command.Flags), cli.HelpFlag)
}

// findFlag looks for an option by its whole name or letter.
func findFlag(command *cli.Command, name string) *option {
	for _, flag := range flagsOf(command) {
		if slices.Contains(flag.Names(), name) {
			return newOption(flag)
		}
	}
	return nil
}

// findLong looks for a long option by its name or unambiguous prefix.
func findLong(command *cli.Command, name string) (*option, error) {
	var found []*option
	for _, flag := range flagsOf(command) {
		long := flag.Names()[0]
		if long == name {
			return newOption(flag), nil
		}
		if strings.HasPrefix(long, name) && name != "" {
			found = append(found, newOption(flag))
		}
	}
	if len(found) > 1 {
		var names []string
		for _, o := range found {
			names = append(names, "--"+o.name)
		}
		return nil, usageError(fmt.Sprintf("option --%s is ambiguous", name), "it could be: "+strings.Join(names, ", "))
	}
	if len(found) == 0 {
		return nil, unknownOption(command, "--"+name)
	}
	return found[0], nil
}

func unknownOption(command *cli.Command, name string) error {
	full := fullName(command)
	return usageError(fmt.Sprintf("%s has no option %s", full, name), "xdpmux "+full+" --help lists the options")
}

// fullName is how a command is called; a command of a command says it itself.
func fullName(command *cli.Command) string {
	if command.HelpName == "" {
		return command.Name
	}
	return strings.TrimPrefix(command.HelpName, "xdpmux ")
}
