package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// terminalSize is the size of the terminal that w is, and 0, 0 for anything else.
func terminalSize(w io.Writer) (rows, columns int) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return int(size.Row), int(size.Col)
}

// colours are those of the states that a check finds (SGR parameters).
var colours = map[dispatcher.CheckState]string{
	dispatcher.CheckOK:      "32",
	dispatcher.CheckLimited: "33",
	dispatcher.CheckMissing: "31",
}

// paint colours text on a terminal, unless NO_COLOR is set (no-color.org).
func (o *output) paint(state dispatcher.CheckState, text string) string {
	if rows, _ := terminalSize(o.stdout); rows == 0 || os.Getenv("NO_COLOR") != "" {
		return text
	}
	return "\x1b[" + colours[state] + "m" + text + "\x1b[m"
}
