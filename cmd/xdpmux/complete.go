package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// completeWord is what the shells' scripts call xdpmux with, followed by the words
// of the command line up to the one to be completed.
const completeWord = "__complete"

// complete prints what the last word could be, one candidate a line; nothing where
// it is a file, which shells complete themselves.
func complete(ctx context.Context, app *cli.App, words []string, w io.Writer) {
	words = slices.DeleteFunc(words, func(word string) bool { return word == "=" }) // bash takes --a=b apart
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	for _, candidate := range candidates(ctx, app, words[:len(words)-1], last) {
		if strings.HasPrefix(candidate, last) {
			fmt.Fprintln(w, candidate)
		}
	}
}

func candidates(ctx context.Context, app *cli.App, before []string, last string) []string {
	if len(before) == 0 {
		var names []string
		for _, c := range app.Commands {
			if !c.Hidden {
				names = append(names, c.Name)
			}
		}
		return append(names, "help")
	}
	command, err := findCommand(app.Commands, "", before[0])
	if err != nil {
		return nil
	}
	for len(command.Subcommands) > 0 {
		var names []string
		for _, sub := range command.Subcommands {
			names = append(names, sub.Name)
		}
		i := -1
		if len(before) > 1 {
			i = slices.Index(names, before[1])
		}
		if i < 0 {
			return names
		}
		command, before = command.Subcommands[i], before[1:]
	}
	args := completeArgs(command, before[1:])
	if name, value, ok := strings.Cut(last, "="); ok && strings.HasPrefix(name, "--") {
		if flag, err := findLong(command, name[2:]); err == nil && flag.takesValue {
			return prefixedAll(name+"=", optionValues(ctx, flag.name, args.positional, value))
		}
	}
	switch {
	case args.option != "":
		return optionValues(ctx, args.option, args.positional, last)
	case strings.HasPrefix(last, "-"):
		var options []string
		for _, flag := range flagsOf(command) {
			options = append(options, "--"+flag.Names()[0])
		}
		return options
	case len(args.positional) == 0 && strings.Contains(command.ArgsUsage, "ifname"):
		return listOf(last, interfaceNames())
	case command.Name == "status":
		return interfaceNames()
	case command.Name == "completion":
		return []string{"bash", "zsh", "fish"}
	}
	return nil
}

// completed is what stands before the word to be completed.
type completed struct {
	positional []string
	option     string // whose value the word is; empty: none's
}

func completeArgs(command *cli.Command, words []string) completed {
	var c completed
	for _, word := range words {
		switch {
		case c.option != "":
			c.option = ""
		case strings.HasPrefix(word, "--") && !strings.Contains(word, "="):
			if flag, err := findLong(command, word[2:]); err == nil && flag.takesValue && flag.optional == nil {
				c.option = flag.name
			}
		case strings.HasPrefix(word, "-") && len(word) == 2:
			if flag := findFlag(command, word[1:]); flag != nil && flag.takesValue {
				c.option = flag.name
			}
		case !strings.HasPrefix(word, "-"):
			c.positional = append(c.positional, word)
		}
	}
	return c
}

// optionValues are what an option can have, given the words that aren't options.
func optionValues(ctx context.Context, name string, positional []string, last string) []string {
	var values []string
	switch name {
	case "mode":
		return dispatcher.ModeNames()
	case "actions":
		return listOf(last, dispatcher.VerdictNames())
	case "section", "prog-name":
		for _, word := range positional {
			contents, _ := dispatcher.Listing(word) // an interface's name is no file
			for _, c := range contents {
				if name == "section" {
					values = append(values, c.Section)
				} else {
					values = append(values, c.Name)
				}
			}
		}
	case "id":
		chains, _ := dispatcher.StatusAll(ctx, positional...)
		for _, c := range chains {
			for _, p := range c.Programs {
				values = append(values, fmt.Sprint(p.ID))
			}
			for _, p := range []*dispatcher.Loaded{c.Legacy, c.Hardware} {
				if p != nil {
					values = append(values, fmt.Sprint(p.ID))
				}
			}
		}
	case "netns":
		entries, _ := os.ReadDir("/run/netns")
		for _, e := range entries {
			values = append(values, e.Name())
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// listOf completes the last of several words that are joined by commas.
func listOf(last string, words []string) []string {
	return prefixedAll(last[:strings.LastIndex(last, ",")+1], words)
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
