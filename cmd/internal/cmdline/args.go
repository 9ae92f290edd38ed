package cmdline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/help"
)

// harmless are the commands of xdp-loader that change nothing, or, as unload, nothing
// unless an option says what. A prefix that means one of them to xdp-loader means it here
// too, although other commands of ours begin with it. A prefix of any other command has to
// be clear: whoever means check must not get clean.
var harmless = []string{"status", "features", "help", "unload"}

// nativeOptions are the options of xdp-loader. A prefix that means one of them to xdp-loader
// means it here too, although other options of ours begin with it.
var nativeOptions = []string{"mode", "pin-path", "section", "prog-name", "prio", "actions", "id", "all", "verbose", "version", "help"}

// Normalize rewrites a command line as getopt_long(3) would understand it to one
// that cli understands, which stops looking for options at the first argument:
//
//	stat veth0 -vv            ->  status --verbose --verbose -- veth0
//	load veth0 a.o -mskb -P5  ->  load --mode=skb --prio=5 -- veth0 a.o
//	--netns lab status        ->  status --netns=lab
func Normalize(app *cli.App, args []string) ([]string, error) {
	return normalizeIn(&cli.Command{Flags: app.Flags, Subcommands: app.Commands}, nil, args)
}

// normalizeIn normalizes args, which follow a command. path holds the command's name and
// those before it.
func normalizeIn(command *cli.Command, path, args []string) ([]string, error) {
	at := CommandAt(command, args)
	if len(command.Subcommands) == 0 || at < 0 {
		options, rest, err := SplitOptions(command, args)
		if err != nil {
			return nil, err
		}
		path = append(path, options...)
		if len(rest) > 0 {
			path = append(append(path, "--"), rest...)
		}
		return path, nil
	}
	of := ""
	if len(path) > 0 {
		of = strings.Join(path, " ") + " "
	}
	sub, err := FindCommand(command.Subcommands, of, args[at])
	if err != nil {
		return nil, err
	}
	return normalizeIn(sub, append(path, sub.Name), slices.Delete(slices.Clone(args), at, at+1))
}

// CommandAt is the index of the word in args that names one of the command's commands: the
// first one that is neither an option nor an option's value. -1 means that there is none.
func CommandAt(command *cli.Command, args []string) int {
	for at := 0; at < len(args); at++ {
		switch arg := args[at]; {
		case arg == "--":
			return -1
		case !strings.HasPrefix(arg, "-") || arg == "-":
			return at
		case at+1 < len(args) && valueFollows(command, arg, args[at+1]):
			at++
		}
	}
	return -1
}

// valueFollows says whether next is the value of the option arg, which stands before the
// command that it belongs to.
func valueFollows(of *cli.Command, arg, next string) bool {
	long, isLong := strings.CutPrefix(arg, "--")
	if strings.Contains(long, "=") {
		return false
	}
	takes, all := false, true
	for _, command := range withSubcommands(of) {
		var found *option
		if isLong {
			found, _ = findLong(command, long)
		} else {
			found = valueOf(command, arg[1:])
		}
		if found != nil {
			takes, all = takes || found.takesValue, all && found.takesValue
		}
	}
	// The beginning of a name may mean a switch of one command and an option with a value
	// of another. Then next is a value unless it is a command.
	if takes && !all {
		_, err := FindCommand(of.Subcommands, "", next)
		return err != nil
	}
	return takes
}

// valueOf finds the one of joined short options that takes the next argument for its
// value. If none does it is the last one.
func valueOf(command *cli.Command, letters string) *option {
	var found *option
	for i := range letters {
		if found = findFlag(command, letters[i:i+1]); found == nil {
			return nil
		}
		if found.takesValue && i+1 < len(letters) {
			return &option{name: found.name} // it has its value
		}
	}
	return found
}

// withSubcommands are a command and all those below it.
func withSubcommands(command *cli.Command) []*cli.Command {
	all := []*cli.Command{command}
	for _, sub := range command.Subcommands {
		all = append(all, withSubcommands(sub)...)
	}
	return all
}

// countVerbose says how often a normalized command line has --verbose. cli can't: it counts
// the option once more for each alias and command.
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

// FindCommand resolves a command's name or its unambiguous prefix. of is what comes before
// it on the command line, for the error.
func FindCommand(commands []*cli.Command, of, name string) (*cli.Command, error) {
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
		native := slices.DeleteFunc(slices.Clone(matches), func(c *cli.Command) bool { return !slices.Contains(harmless, c.Name) })
		if len(native) == 1 && of == "" {
			matches = native
		}
	}
	switch len(matches) {
	case 1:
		return matches[0], nil
	case 0:
		if of != "" {
			return nil, UsageError(fmt.Sprintf("unknown command %q", of+name), "xdpmux "+of+"--help lists its commands")
		}
		return nil, UsageError(fmt.Sprintf("unknown command %q", name), "xdpmux help lists the commands")
	}
	var names []string
	for _, c := range matches {
		names = append(names, c.Name)
	}
	return nil, UsageError(fmt.Sprintf("command %q is ambiguous", name), "it could be: "+strings.Join(names, ", "))
}

// SplitOptions separates a command's options, each written out as --name or
// --name=value, from its arguments.
func SplitOptions(command *cli.Command, args []string) (options, rest []string, err error) {
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

// splitShort takes joined short options apart. The value of the first one that takes a
// value is the rest of the word, or the next argument if the word ends there.
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

// option is what [Normalize] has to know of a cli flag.
type option struct {
	name       string
	takesValue bool
	isValue    func(next string) bool // whether the next argument is its value; nil: it always is
	help       string                 // what to call to learn more
}

// write returns the option in the one form that cli is given. It takes the value from args
// if arg doesn't have it.
func (o *option) write(arg, value string, hasValue bool, args []string) (string, []string, error) {
	switch {
	case !o.takesValue && hasValue:
		return "", nil, UsageError(fmt.Sprintf("option %s takes no value", arg), o.help)
	case !o.takesValue:
		return "--" + o.name, args, nil
	case !hasValue && o.isValue != nil && (len(args) == 0 || !o.isValue(args[0])):
	case !hasValue && len(args) == 0:
		return "", nil, UsageError(fmt.Sprintf("option %s needs a value", arg), o.help)
	case !hasValue:
		value, args = args[0], args[1:]
	}
	return "--" + o.name + "=" + value, args, nil
}

func newOption(command *cli.Command, flag cli.Flag) *option {
	takesValue := true
	if f, ok := flag.(cli.DocGenerationFlag); ok {
		takesValue = f.TakesValue()
	}
	o := &option{name: flag.Names()[0], takesValue: takesValue, help: listsOptions(command)}
	if f, ok := flag.(*OptionalFlag); ok {
		o.isValue = f.IsValue
	}
	return o
}

// findFlag looks for an option by its whole name or letter.
func findFlag(command *cli.Command, name string) *option {
	for _, flag := range command.Flags {
		if slices.Contains(flag.Names(), name) {
			return newOption(command, flag)
		}
	}
	return nil
}

// findLong looks for a long option by its name or unambiguous prefix.
func findLong(command *cli.Command, name string) (*option, error) {
	var found []*option
	for _, flag := range command.Flags {
		long := flag.Names()[0]
		if long == name {
			return newOption(command, flag), nil
		}
		if strings.HasPrefix(long, name) && name != "" {
			found = append(found, newOption(command, flag))
		}
	}
	if len(found) > 1 {
		native := slices.DeleteFunc(slices.Clone(found), func(o *option) bool { return !slices.Contains(nativeOptions, o.name) })
		if len(native) == 1 {
			return native[0], nil
		}
		var names []string
		for _, o := range found {
			names = append(names, "--"+o.name)
		}
		return nil, UsageError(fmt.Sprintf("option --%s is ambiguous", name), "it could be: "+strings.Join(names, ", "))
	}
	if len(found) == 0 {
		return nil, unknownOption(command, "--"+name)
	}
	return found[0], nil
}

func unknownOption(command *cli.Command, name string) error {
	if command.Name == "" {
		return UsageError("unknown option "+name, listsOptions(command))
	}
	return UsageError(fmt.Sprintf("%s has no option %s", help.FullName(command), name), listsOptions(command))
}

// listsOptions says what to call to see a command's options.
func listsOptions(command *cli.Command) string {
	if command.Name == "" {
		return "xdpmux help lists the commands, and xdpmux help COMMAND its options"
	}
	return "xdpmux " + help.FullName(command) + " --help lists the options"
}
