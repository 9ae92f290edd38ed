package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/inspect"
	"github.com/xdpmux/xdpmux/dispatcher/registry"
)

// builtJSON is the shape of what image build --json prints.
type builtJSON struct {
	Digest    string `json:"digest"`
	Directory string `json:"directory"`
}

// build makes an image of objects.
func build(c *cli.Context, out *output.Printer) error {
	const usage = "xdpmux image build -o DIR <file>..."
	dir := c.String("output")
	if c.NArg() == 0 || dir == "" {
		return cmdline.UsageError("image build needs a directory to write to, and an object", usage)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return cmdline.UsageError(dir+" is there already", "name a directory that isn't there yet")
	}
	created, err := buildTime()
	if err != nil {
		return err
	}
	var objects []registry.Source
	for _, file := range c.Args().Slice() {
		o, err := source(c, file)
		if err != nil {
			return err
		}
		objects = append(objects, o)
	}
	b, err := registry.Build(created, objects...)
	if err != nil {
		return err
	}
	if err := b.Write(dir); err != nil {
		return err
	}
	if c.Bool("json") {
		return out.PrintJSON(builtJSON{b.Digest, dir})
	}
	fmt.Fprintln(out.Stdout, b.Digest)
	return nil
}

// buildTime is what all times in an image are, so that the same object makes the same image:
// https://reproducible-builds.org/specs/source-date-epoch/
func buildTime() (time.Time, error) {
	text, ok := os.LookupEnv("SOURCE_DATE_EPOCH")
	if !ok {
		return time.Unix(0, 0).UTC(), nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, cmdline.UsageError(fmt.Sprintf("SOURCE_DATE_EPOCH is %q", text), "it is a number of seconds since 1970")
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// source is an object with what the labels say of it. One of the other byte order can't be looked into:
// it has the labels of the one beside it.
func source(c *cli.Context, file string) (registry.Source, error) {
	data, err := inspect.ReadFile(c.Context, file)
	if err != nil {
		return registry.Source{}, err
	}
	s := registry.Source{File: file, Data: data}
	if s.Foreign() {
		return s, nil
	}
	o, err := inspect.Read(file, data)
	if err != nil {
		return s, err
	}
	s.Programs, s.Maps = map[string]string{}, map[string]string{}
	for _, p := range o.Programs {
		s.Programs[p.Name] = p.Type
	}
	for _, m := range o.Maps {
		if !strings.Contains(m.Name, ".") { // those of global variables have a section's name
			s.Maps[m.Name] = strings.Replace(m.Type, "percpu", "per_cpu", 1) // as bpfman writes it
		}
	}
	return s, nil
}
