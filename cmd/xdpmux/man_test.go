package main

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/help"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
)

func man(t *testing.T) string {
	t.Helper()
	var page, errs strings.Builder
	if status := run(t.Context(), []string{"man"}, &page, &errs); status != 0 {
		t.Fatalf("exit status %d\n%s", status, errs.String())
	}
	return page.String()
}

// The man page has a section for every command, with its arguments, its options and
// their values, its examples and what --help says beyond; and those that every man
// page of a command has.
func TestMan(t *testing.T) {
	text := strings.NewReplacer(`\-`, "-", `\&`, "", `\(aq`, "'", `\(dq`, `"`, `\(ti`, "~", `\(ha`, "^", `\fB`, "", `\fI`, "", `\fR`, "", ".B ", "", ".PP\n", "", ".nf\n", "", ".fi\n", "", ".TP\n", "").Replace(man(t))
	sections := map[string]string{}
	for _, section := range regexp.MustCompile(`(?m)^\.S[HS] `).Split(text, -1) {
		name, content, _ := strings.Cut(section, "\n")
		sections[name] = strings.Join(strings.Fields(content), " ")
	}
	for _, name := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS OF EVERY COMMAND", "COMMANDS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"} {
		if _, ok := sections[name]; !ok {
			t.Errorf("no section %s", name)
		}
	}
	has := func(section, words string) {
		if words = strings.Join(strings.Fields(words), " "); !strings.Contains(sections[section], words) {
			t.Errorf("%s: no %q in its section:\n%s", section, words, sections[section])
		}
	}
	for _, flag := range help.CommonFlags() {
		has("OPTIONS OF EVERY COMMAND", strings.TrimSpace(help.Describe(flag).Term()))
	}
	for _, c := range commandsOf(newApp(&output.Printer{}).Commands) {
		has(help.FullName(c), c.Usage[1:])
		has(help.FullName(c), help.Synopsis(c))
		for _, p := range strings.Split(c.Description, "\n\n") {
			has(help.FullName(c), p)
		}
		for _, flag := range help.OwnFlags(c) {
			o := help.Describe(flag)
			has(help.FullName(c), strings.TrimSpace(o.Term()))
			has(help.FullName(c), o.Text)
		}
		for _, e := range help.ExamplesOf(c) {
			has(help.FullName(c), e.Call)
			has(help.FullName(c), e.What)
		}
	}
}

// commandsOf are those that do something, the hidden left out.
func commandsOf(commands []*cli.Command) (all []*cli.Command) {
	for _, c := range commands {
		switch {
		case c.Hidden:
		case len(c.Subcommands) > 0:
			all = append(all, commandsOf(c.Subcommands)...)
		default:
			all = append(all, c)
		}
	}
	return all
}

// In 80 columns no line of the man page is longer, and groff has nothing to say.
func TestManIn80Columns(t *testing.T) {
	cmd := exec.Command("groff", "-man", "-Tutf8", "-rLL=78n", "-ww", "-P-c")
	cmd.Stdin = strings.NewReader(man(t))
	var errs strings.Builder
	cmd.Stderr = &errs
	page, err := cmd.Output()
	if err != nil || errs.Len() > 0 {
		t.Fatalf("make deps installs groff: %v\n%s", err, errs.String())
	}
	// Bold and underlined letters are written over each other.
	text := regexp.MustCompile(`.\x08`).ReplaceAllString(string(page), "")
	for _, line := range strings.Split(text, "\n") {
		if utf8.RuneCountInString(line) > 80 {
			t.Errorf("too long: %q", line)
		}
	}
}
