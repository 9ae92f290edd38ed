package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"time"
)

// interval is the value of an option that may be given with a duration or without.
type interval time.Duration

func (i *interval) String() string   { return time.Duration(*i).String() }
func (i *interval) IsBoolFlag() bool { return true }

// Set takes "true" from an option without a value.
func (i *interval) Set(s string) error {
	if s == "true" {
		return nil
	}
	d, err := time.ParseDuration(s)
	if err == nil && d <= 0 {
		err = usageError("an interval has to be longer than nothing", "such as --watch 2s")
	}
	*i = interval(d)
	return err
}

// watch has print write a block again and again until ctx ends: in place on a
// terminal, one below the other elsewhere.
func watch(ctx context.Context, w io.Writer, every time.Duration, print func(io.Writer) error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		var block bytes.Buffer
		if err := print(&block); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		text := block.String()
		if rows, _ := terminalSize(w); rows > 0 {
			text = repaint(text, rows)
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// repaint writes over what a terminal of so many rows shows, without the flicker
// of clearing it first. What doesn't fit is cut: it would scroll.
func repaint(text string, rows int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	lines = lines[:min(len(lines), rows-1)]
	const home, clearLine, clearBelow = "\x1b[H", "\x1b[K\n", "\x1b[J"
	return home + strings.Join(lines, clearLine) + clearLine + clearBelow
}
