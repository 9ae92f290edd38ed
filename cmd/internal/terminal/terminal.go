// Package terminal is what a command asks of the terminal that it is started on.
package terminal

import (
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Size is the size of the terminal that w writes to. It is 0, 0 if that is no terminal.
func Size(w io.Writer) (rows, columns int) {
	f, ok := File(w)
	if !ok {
		return 0, 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return int(size.Row), int(size.Col)
}

// Drawable says whether w writes to a terminal that can do more than print lines.
func Drawable(w io.Writer) bool {
	rows, _ := Size(w)
	return rows > 0 && os.Getenv("TERM") != "dumb"
}

// File is the file that w writes to. ok is false if it is none.
func File(w io.Writer) (f interface{ Fd() uintptr }, ok bool) {
	if wrapped, isWrapped := w.(interface{ Unwrap() io.Writer }); isWrapped {
		w = wrapped.Unwrap()
	}
	f, ok = w.(interface{ Fd() uintptr })
	return f, ok
}

// ReadKeys reads what is typed on the terminal of standard input until end is called. It
// reads a key at a time, and the terminal doesn't show it. keys is nil where standard input
// is no terminal, and where another process has the terminal.
func ReadKeys() (keys <-chan byte, end func()) {
	const stdin = 0
	before, err := unix.IoctlGetTermios(stdin, unix.TCGETS)
	if err != nil || !inForeground(stdin) {
		return nil, func() {}
	}
	now := *before
	now.Lflag &^= unix.ICANON | unix.ECHO
	now.Cc[unix.VMIN], now.Cc[unix.VTIME] = 0, 1 // a read waits for a tenth of a second
	if err := unix.IoctlSetTermios(stdin, unix.TCSETS, &now); err != nil {
		return nil, func() {}
	}
	typed, done, ended := make(chan byte), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for b := make([]byte, 1); ; {
			n := 0
			if inForeground(stdin) { // a read from the background would stop the process
				n, _ = unix.Read(stdin, b)
			}
			if n > 0 {
				select {
				case <-done:
					return
				case typed <- b[0]:
				}
				continue
			}
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond): // also where a read fails at once
			}
		}
	}()
	return typed, func() {
		close(done)
		<-ended
		if inForeground(stdin) {
			_ = unix.IoctlSetTermios(stdin, unix.TCSETS, before)
		}
	}
}

// inForeground says whether this process may read from the terminal.
func inForeground(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
