package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/help"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// otherTools are calls of other programs, up to the end of what is said of them.
var otherTools = regexp.MustCompile(`\b(clang|ethtool|ss|ip|mount|rm|chmod|ulimit|modprobe|nsenter|bpftool|compile it with)\b[^;,]*`)

// ofUs are the words that name an option or a command of ours.
func ofUs(app *cli.App) *regexp.Regexp {
	names := map[string]bool{}
	var commands []string
	for _, c := range commandsOf(app.Commands) {
		commands = append(commands, regexp.QuoteMeta(help.FullName(c)))
		for _, flag := range c.Flags {
			for _, name := range flag.Names() {
				names[name] = true
			}
		}
	}
	var options []string
	for name := range names {
		options = append(options, strings.Repeat("-", min(len(name), 2))+regexp.QuoteMeta(name))
	}
	return regexp.MustCompile(`\bxdpmux (?:` + strings.Join(commands, "|") + `)\b|(?:^|[\s(:"'])(?:` + strings.Join(options, "|") + `|-v+|(?:load|unload) -\w)(?:$|[\s,;:.)"'=])`)
}

// The library is used by other programs than this one: nothing that it says names an
// option or a command of ours. What names them is cmd, by the hints of an error.
func TestLibraryNamesNoOption(t *testing.T) {
	named := ofUs(newApp(output.New(io.Discard, io.Discard)))
	for _, said := range []string{"use -m skb", "unload -a eth0", "-vv shows", "choose another --pin-path", "xdpmux clean removes them", "see xdpmux map dump"} {
		if !named.MatchString(said) {
			t.Errorf("%q names none of ours", said)
		}
	}
	texts := 0
	err := filepath.WalkDir("../../dispatcher", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			must(t, err)
			texts++
			if found := named.FindString(otherTools.ReplaceAllString(text, "")); found != "" {
				t.Errorf("%s: %q names %q", fset.Position(literal.Pos()), text, found)
			}
			return true
		})
		return nil
	})
	must(t, err)
	if texts < 1000 {
		t.Errorf("only %d texts found", texts)
	}
}

// Every hint that the library can give has a name here, in the remedy's place for it.
func TestHintsAreNamed(t *testing.T) {
	out := output.New(io.Discard, io.Discard)
	for to := xdp.HintTo(0); to <= xdp.HintBuild; to++ {
		for _, ifname := range []string{"", "eth0"} {
			hint := xdp.Hint{To: to, Interface: ifname, Mode: xdp.ModeSKB}
			remedy, hints := xdp.Remedy("100%% %v of %s", hint, "it")
			if got := out.Remedy(remedy, hints); strings.Contains(got, hint.String()) || !strings.HasPrefix(got, "100% ") || !strings.HasSuffix(got, " of it") {
				t.Errorf("%q: %q", remedy, got)
			}
		}
	}
	remedy, hints := xdp.Remedy("use %v, or unload the chain first: %v", xdp.Hint{To: xdp.HintMode, Mode: xdp.ModeNative}, xdp.Hint{To: xdp.HintDetachAll, Interface: "eth0"})
	if got := out.Remedy(remedy, hints); got != "use -m native, or unload the chain first: unload -a eth0" {
		t.Error(got)
	}
}
