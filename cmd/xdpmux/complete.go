package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/help"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/inspect"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// completeWord is the word that the shells' scripts call xdpmux with. The words of the
// command line up to the cursor follow, of which the last one is to be completed.
const completeWord = "__complete"

// statusFile is the exit status that tells a shell to complete the name of a file. In an
// option, and in the settings of a file, the name begins behind the last =.
const statusFile = 1

// placeholder stands for the word to be completed; no argument can have it.
const placeholder = "\x00"

// complete prints what the last word could be, one candidate a line, and returns
// the exit status. What a terminal can't print is left out.
func complete(ctx context.Context, app *cli.App, words []string, w io.Writer) int {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	found, file := candidates(ctx, app, words[:len(words)-1], last)
	if file {
		return statusFile
	}
	slices.Sort(found)
	for _, candidate := range slices.Compact(found) {
		if strings.HasPrefix(candidate, last) && output.Printable(candidate) {
			fmt.Fprintln(w, candidate)
		}
	}
	return 0
}

// candidates are what the last word could be, whether or not they begin as it does. file
// says that it is the name of a file instead.
func candidates(ctx context.Context, app *cli.App, before []string, last string) (found []string, file bool) {
	command := &cli.Command{Flags: app.Flags, Subcommands: app.Commands}
	for at := cmdline.CommandAt(command, before); at >= 0 && len(command.Subcommands) > 0; at = cmdline.CommandAt(command, before) {
		sub, err := cmdline.FindCommand(command.Subcommands, "", before[at])
		if err != nil {
			return nil, false
		}
		command, before = sub, slices.Delete(slices.Clone(before), at, at+1)
	}
	if at := cmdline.CommandAt(command, append(slices.Clone(before), placeholder)); len(command.Subcommands) > 0 && at == len(before) && !strings.HasPrefix(last, "-") {
		return commandNames(command.Subcommands), false
	}
	if strings.HasPrefix(last, "-") && !strings.Contains(last, "=") && !slices.Contains(before, "--") {
		for _, flag := range command.Flags {
			found = append(found, "--"+flag.Names()[0])
		}
		return found, false
	}
	// To find out what the word is, a placeholder is read in its place.
	place := placeholder
	option, value, isOption := strings.Cut(last, "=")
	if isOption = isOption && strings.HasPrefix(option, "--"); isOption {
		place, last = option+"="+placeholder, value
	}
	options, args, err := cmdline.SplitOptions(command, append(slices.Clone(before), place))
	if err != nil {
		return nil, false
	}
	if name := givenNetns(options); name != "" && cmdline.EnterNetns(name) != nil {
		return nil, false
	}
	if at := slices.Index(args, placeholder); at >= 0 {
		return argumentValues(app, command, args[:at], last)
	}
	name := strings.TrimSuffix(strings.TrimPrefix(options[len(options)-1], "--"), "="+placeholder)
	found, file = optionValues(ctx, command, name, args, last)
	if isOption {
		found = prefixedAll(option+"=", found)
	}
	return found, file
}

func commandNames(commands []*cli.Command) []string {
	var names []string
	for _, c := range commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return names
}

// givenNetns is the network namespace that a command line names.
func givenNetns(options []string) string {
	for _, o := range options {
		if name, ok := strings.CutPrefix(o, "--netns="); ok && name != placeholder {
			return name
		}
	}
	return ""
}

// argumentValues are what the argument after those in before can be. The command's usage
// tells.
func argumentValues(app *cli.App, command *cli.Command, before []string, last string) (found []string, file bool) {
	usage := strings.Fields(command.ArgsUsage)
	usage = slices.DeleteFunc(usage, func(word string) bool { return strings.HasPrefix(word, "-") })
	if len(usage) == 0 {
		return nil, false
	}
	at := len(before)
	if end := len(usage) - 1; at > end && strings.HasSuffix(usage[end], "...") {
		at = end
	}
	if at >= len(usage) {
		return nil, false
	}
	switch what := usage[at]; {
	case strings.Contains(what, "ifname") && strings.Contains(what, "..."):
		return listOf(last, ",", interfaceNames()), false
	case strings.Contains(what, "ifname"):
		return interfaceNames(), false
	case strings.Contains(what, "@setting"):
		return fileSpecValues(last)
	case strings.Contains(what, "file"):
		return nil, true
	case strings.Contains(what, "map"):
		return mapValues(before, func(m maps.Used) string { return m.Name }), false
	case strings.Contains(what, "command"):
		commands := app.Commands
		for _, name := range before {
			sub, err := cmdline.FindCommand(commands, "", name)
			if err != nil {
				return nil, false
			}
			commands = sub.Subcommands
		}
		return commandNames(commands), false
	case strings.Contains(what, "bash"):
		return strings.Split(what, "|"), false
	}
	return nil, false
}

// fileSpecValues complete a file's settings; see parseFileSpec.
func fileSpecValues(last string) (found []string, file bool) {
	path, settings, ok := cutLast(last, "@")
	if info, err := os.Stat(home(path)); !ok || err != nil || info.IsDir() {
		return nil, true
	}
	given, setting, several := cutLast(settings, ",")
	if !several {
		given, setting = "", settings
	}
	key, value, ok := strings.Cut(setting, "=")
	if !ok {
		for _, key := range fileSettings {
			if !strings.Contains(","+given, ","+key+"=") {
				found = append(found, key+"=")
			}
		}
		return prefixedAll(strings.TrimSuffix(last, setting), found), false
	}
	switch key {
	case "actions":
		found = listOf(value, "+", xdp.VerdictNames())
	case "name":
		found = listed([]string{path}, func(l inspect.ObjectProgram) string { return l.Name })
	case "section":
		found = listed([]string{path}, func(l inspect.ObjectProgram) string { return l.Section })
	case "pin":
		return nil, true
	}
	return prefixedAll(strings.TrimSuffix(last, value), found), false
}

// optionValues are what an option of a command can have, given its arguments.
func optionValues(ctx context.Context, command *cli.Command, name string, args []string, last string) (found []string, file bool) {
	ofMap := strings.HasPrefix(help.FullName(command), "map ")
	switch name {
	case "mode":
		return xdp.ModeNames(), false
	case "actions":
		return listOf(last, ",", xdp.VerdictNames()), false
	case "at":
		return []string{"arrival", "chain", "programs"}, false
	case "verdict":
		return listOf(last, ",", observe.VerdictNames()), false
	case "to":
		if command.Name == "undo" {
			return nil, false
		}
		return versions, false
	case "section":
		return listed(args, func(l inspect.ObjectProgram) string { return l.Section }), false
	case "prog-name":
		return listed(args, func(l inspect.ObjectProgram) string { return l.Name }), false
	case "map":
		return objectMaps(args), false
	case "id":
		if ofMap {
			return mapValues(args, func(m maps.Used) string { return fmt.Sprint(m.ID) }), false
		}
		return programValues(ctx, args, func(p xdp.Loaded) string { return fmt.Sprint(p.ID) }), false
	case "name":
		if ofMap {
			return mapValues(args, func(m maps.Used) string { return m.Name }), false
		}
		return programValues(ctx, args, func(p xdp.Loaded) string { return p.Name }), false
	case "as":
		return []string{"chain", "state"}, false
	case "primary":
		return interfaceNames(), false
	case "netns":
		entries, _ := os.ReadDir("/run/netns")
		for _, e := range entries {
			found = append(found, e.Name())
		}
		return found, strings.Contains(last, "/")
	}
	for _, flag := range command.Flags {
		if f, ok := flag.(cli.DocGenerationFlag); ok && flag.Names()[0] == name {
			usage := f.GetUsage()
			return nil, strings.Contains(usage, "`FILE`") || strings.Contains(usage, "`DIR`") || strings.Contains(usage, "`PATH`")
		}
	}
	return nil, false
}

// listed are the XDP programs in those arguments that are object files.
func listed(args []string, what func(inspect.ObjectProgram) string) (found []string) {
	for _, arg := range args {
		spec, _ := parseFileSpec(home(arg), xdp.Program{})
		if !isFile(spec.File) {
			continue
		}
		object, err := inspect.Open(spec.File)
		if err != nil {
			continue
		}
		for _, p := range object.Programs {
			if p.XDP() {
				found = append(found, what(p))
			}
		}
	}
	return found
}

// isFile says whether path is a regular file, which can be read without waiting for
// anybody: the shell waits for the completion.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// objectMaps are the maps of numbers in those arguments that are object files.
func objectMaps(args []string) (found []string) {
	for _, arg := range args {
		if !isFile(home(arg)) {
			continue
		}
		read, err := inspect.Open(home(arg))
		if err != nil {
			continue
		}
		for _, m := range read.Maps {
			if m.Numeric {
				found = append(found, m.Name)
			}
		}
	}
	return found
}

// programValues are the programs that run on the interfaces of the first argument. Without
// an argument they are those of all interfaces.
func programValues(ctx context.Context, args []string, what func(xdp.Loaded) string) (found []string) {
	var names []string
	if len(args) > 0 {
		names = cmdline.SplitNames(args[0])
	}
	chains, _ := dispatcher.StatusAll(ctx, names...)
	for _, c := range chains {
		for _, p := range c.Programs {
			found = append(found, what(p.Loaded))
		}
		for _, p := range []*xdp.Loaded{c.Legacy, c.Hardware} {
			if p != nil {
				found = append(found, what(*p))
			}
		}
	}
	return found
}

// mapValues are the maps of the interface that is the first argument.
func mapValues(args []string, what func(maps.Used) string) (found []string) {
	if len(args) == 0 {
		return nil
	}
	maps, _ := maps.OfChain(context.Background(), args[0])
	for _, m := range maps {
		found = append(found, what(m))
	}
	return found
}

// listOf completes the last of several words that are joined.
func listOf(last, joint string, words []string) []string {
	return prefixedAll(last[:strings.LastIndex(last, joint)+1], words)
}

func prefixedAll(prefix string, words []string) []string {
	var all []string
	for _, word := range words {
		all = append(all, prefix+word)
	}
	return all
}

func interfaceNames() []string {
	links, _ := net.Interfaces()
	var names []string
	for _, l := range links {
		names = append(names, l.Name)
	}
	return names
}

func cutLast(s, sep string) (before, after string, found bool) {
	if at := strings.LastIndex(s, sep); at >= 0 {
		return s[:at], s[at+len(sep):], true
	}
	return s, "", false
}

// home resolves a path that begins with ~/. The shell hasn't done that yet: it does when it
// runs the command.
func home(path string) string {
	if below, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(os.Getenv("HOME"), below)
	}
	return path
}
