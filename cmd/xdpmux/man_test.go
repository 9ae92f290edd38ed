//go:build !urfave_cli_no_docs

package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// The man page has a section for every command, with its arguments, its options and
// what --help says beyond.
func TestMan(t *testing.T) {
	var page, errs strings.Builder
	if status := run(t.Context(), []string{"man"}, &page, &errs); status != 0 {
		t.Fatalf("exit status %d\n%s", status, errs.String())
	}
	text := strings.NewReplacer(`\-`, "-", `\&`, "", `\_`, "_").Replace(page.String())
	sections := map[string]string{}
	for _, section := range regexp.MustCompile(`(?m)^\.S[HS] `).Split(text, -1) {
		name, content, _ := strings.Cut(section, "\n")
		sections[name] = strings.Join(strings.Fields(content), " ")
	}
	var check func(c *cli.Command)
	check = func(c *cli.Command) {
		if c.Hidden {
			return
		}
		words := append([]string{c.Usage}, strings.Split(c.Description, "\n")...)
		if len(c.Subcommands) == 0 {
			words = append(words, "xdpmux "+fullName(c)+" [options] "+c.ArgsUsage)
		}
		for _, flag := range c.Flags {
			words = append(words, "--"+flag.Names()[0])
		}
		for _, w := range words {
			if w = strings.Join(strings.Fields(w), " "); !strings.Contains(sections[c.Name], w) {
				t.Errorf("%s: no %q in its section:\n%s", fullName(c), w, sections[c.Name])
			}
		}
		for _, sub := range c.Subcommands {
			check(sub)
		}
	}
	for _, c := range newApp(&output{}).Commands {
		check(c)
	}
}
