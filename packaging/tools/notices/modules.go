package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
)

// goModules are the modules that a command is built of, and Go's own library.
func goModules(info *debug.BuildInfo) ([]part, error) {
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	std, err := goPart("std", strings.TrimPrefix(info.GoVersion, "go"), strings.TrimSpace(string(goroot)), licensesAtTop)
	if err != nil {
		return nil, err
	}
	parts := []part{std}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", m.Path).Output()
		if err != nil {
			return nil, fmt.Errorf("go list -m %s: %w", m.Path, err)
		}
		p, err := goPart(m.Path, m.Version, string(bytes.TrimSpace(dir)), licensesBelow)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return parts, nil
}

func goPart(path, version, dir string, find func(string) ([]string, error)) (part, error) {
	files, err := find(dir)
	if err != nil {
		return part{}, err
	}
	p := part{name: path, version: version, purl: "pkg:golang/" + path + "@" + version}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return part{}, err
		}
		p.texts = append(p.texts, string(text))
		if p.license == "" && filepath.Dir(file) == filepath.Clean(dir) {
			p.license = identify(string(text))
		}
	}
	if p.license == "" {
		return part{}, fmt.Errorf("the licence of %s %s isn't known; it has %q", path, version, files)
	}
	return p, nil
}

var licenseFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([.-].*)?$`)

func licensesAtTop(dir string) (files []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		if licenseFile.MatchString(entry.Name()) {
			files = append(files, filepath.Join(dir, entry.Name()))
		}
	}
	return files, err
}

// licensesBelow finds also those of what a module has copied from others.
func licensesBelow(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "vendor"):
			return fs.SkipDir
		case d.Type().IsRegular() && licenseFile.MatchString(d.Name()) && filepath.Ext(path) != ".go":
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

var space = regexp.MustCompile(`\s+`)

// identify tells the SPDX identifier of a licence's text, or "". The phrases of one that
// contains another's come first.
func identify(text string) string {
	text = strings.ToLower(space.ReplaceAllString(text, " "))
	for _, known := range []struct{ id, phrase string }{
		{"Apache-2.0", "apache license version 2.0"},
		{"MIT", "permission is hereby granted, free of charge"},
		{"ISC", "permission to use, copy, modify, and/or distribute this software for any purpose"},
		{"BSD-3-Clause", "neither the name of"},
		{"BSD-3-Clause", "names of its contributors may"},
		{"BSD-2-Clause", "redistributions in binary form must reproduce"},
		{"Unlicense", "this is free and unencumbered software released into the public domain"},
	} {
		if strings.Contains(strings.ReplaceAll(text, "license, version", "license version"), known.phrase) {
			return known.id
		}
	}
	return ""
}
