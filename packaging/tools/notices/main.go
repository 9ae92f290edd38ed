// Command notices writes what a package has to say of the software that is linked into its
// commands: the licences, and a bill of materials (CycloneDX). It reads the commands themselves:
// Go modules from their build information, C libraries from their symbols. So they must not be
// stripped yet. On standard output it prints the SPDX expression of all licences together.
//
//	notices -version 0.1.0 -root / -epoch 1700000000 -copyright FILE -sbom FILE COMMAND...
package main

import (
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "notices:", err)
		}
		os.Exit(1)
	}
}

// part is something that is linked in.
type part struct {
	name, version string
	purl          string // see github.com/package-url/purl-spec
	license       string // an SPDX expression
	texts         []string
}

// command is one program of the package.
type command struct {
	name  string // of its file
	parts []part
}

func run(args []string) error {
	flags := flag.NewFlagSet("notices", flag.ContinueOnError)
	version := flags.String("version", "", "the `version` of xdpmux")
	root := flags.String("root", "/", "the `directory` of the system whose libraries are linked in")
	epoch := flags.Int64("epoch", 0, "the time of the bill of materials, in `seconds` since 1970")
	license := flags.String("license", "LICENSE", "xdpmux's own licence")
	copyright := flags.String("copyright", "", "the `file` to write the licences to")
	sbom := flags.String("sbom", "", "the `file` to write the bill of materials to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	own, err := os.ReadFile(*license)
	if err != nil {
		return err
	}
	var commands []command
	for _, path := range flags.Args() {
		c, err := readCommand(path, *root)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		commands = append(commands, c)
	}
	if len(commands) == 0 {
		return errors.New("no commands")
	}
	if err := os.WriteFile(*copyright, []byte(copyrightText(string(own), allParts(commands))), 0o644); err != nil {
		return err
	}
	fmt.Println(expression(allParts(commands)))
	return writeSBOM(*sbom, *version, time.Unix(*epoch, 0).UTC(), commands)
}

// expression is the SPDX expression of xdpmux with all its parts.
func expression(parts []part) string {
	terms := []string{"BSD-2-Clause"}
	for _, p := range parts {
		term := p.license
		if strings.Contains(term, " OR ") {
			term = "(" + term + ")"
		}
		if !slices.Contains(terms, term) {
			terms = append(terms, term)
		}
	}
	slices.Sort(terms)
	return strings.Join(terms, " AND ")
}

// readCommand finds out what is linked into the command at path.
func readCommand(path, root string) (command, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return command{}, err
	}
	modules, err := goModules(info)
	if err != nil {
		return command{}, err
	}
	libraries, err := cLibraries(path, root)
	return command{filepath.Base(path), slices.Concat(modules, libraries)}, err
}

// allParts are those of all commands, each once, in the order of their names.
func allParts(commands []command) (all []part) {
	for _, c := range commands {
		all = append(all, c.parts...)
	}
	slices.SortFunc(all, func(a, b part) int { return strings.Compare(a.purl, b.purl) })
	return slices.CompactFunc(all, func(a, b part) bool { return a.purl == b.purl })
}
