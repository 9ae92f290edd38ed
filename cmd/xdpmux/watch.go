package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/help"
	"github.com/xdpmux/xdpmux/cmd/internal/terminal"
)

// watch has print write a block again and again until ctx ends, or q is typed. On a
// terminal each block takes the place of the one before; elsewhere it stands below. With a
// heading each begins with the time.
func watch(ctx context.Context, w io.Writer, every time.Duration, heading bool, print func(io.Writer) error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	keys, end := terminal.ReadKeys()
	defer end()
	hint := ""
	if keys != nil {
		hint = ", q ends"
	}
	for {
		var block bytes.Buffer
		if heading {
			fmt.Fprintf(&block, "%s, each %v%s\n", time.Now().Format(time.DateTime), every, hint)
		}
		err := print(&block)
		if err != nil && ctx.Err() != nil {
			return nil
		}
		text := block.String()
		if terminal.Drawable(w) {
			rows, columns := terminal.Size(w)
			text = repaint(text, rows, columns)
		}
		if _, errWrite := io.WriteString(w, text); err == nil {
			err = errWrite
		}
		if err != nil {
			return err
		}
		if !waitTick(ctx, tick, keys) {
			return nil
		}
	}
}

// waitTick waits for the next tick. It says false if ctx ends before, or q is typed.
func waitTick(ctx context.Context, tick *time.Ticker, keys <-chan byte) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case key := <-keys:
			if key == 'q' {
				return false
			}
		case <-tick.C:
			return true
		}
	}
}

// watchInterval is the interval of a command with --watch. It is 0 without --watch.
func watchInterval(c *cli.Context) (time.Duration, error) {
	if c.Bool("watch") {
		return cmdline.ParseInterval(c.String("interval"))
	}
	if c.IsSet("interval") {
		return 0, cmdline.UsageError("--interval goes with --watch", "xdpmux "+help.FullName(c.Command)+" --watch --interval "+c.String("interval"))
	}
	return 0, nil
}

// repaint writes over what a terminal of that size shows, without the flicker of
// clearing it first. What doesn't fit is cut: it would scroll the heading away.
func repaint(text string, rows, columns int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	lines = lines[:min(len(lines), rows-1)]
	for i, line := range lines {
		if runes := []rune(line); len(runes) > columns {
			lines[i] = string(runes[:columns])
		}
	}
	const home, clearLine, clearBelow = "\x1b[H", "\x1b[K\n", "\x1b[J"
	return home + strings.Join(lines, clearLine) + clearLine + clearBelow
}
