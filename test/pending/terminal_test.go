package pending

import (
	"io"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
	"github.com/xdpmux/xdpmux/test/harness"
)

// terminal is a command that was started on a terminal.
type terminal struct {
	*harness.Process
	screen *harness.Output
	pty    *os.File
}

func inTerminal(t *testing.T, args ...string) terminal {
	t.Helper()
	master, slave, err := pty.Open()
	must(t, err)
	must(t, pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 200}))
	cmd := exec.Command(harness.Xdpmux(), args...)
	cmd.Env = append(os.Environ(), "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	term := terminal{screen: harness.NewOutput(), pty: master}
	read := make(chan struct{})
	t.Cleanup(func() {
		master.Close()
		<-read
	})
	term.Process = harness.StartCmd(t, cmd)
	slave.Close()
	go func() {
		defer close(read)
		_, _ = io.Copy(term.screen, master) // until the terminal is closed
	}()
	return term
}

// shows waits until the terminal has shown a text.
func (term terminal) shows(t *testing.T, text string) {
	t.Helper()
	if !term.screen.Until(t, func(all string) bool { return strings.Contains(all, text) }) {
		t.Fatalf("it never shows %q:\n%s", text, term.screen)
	}
}

const prompt = "is changed. Enter or y keeps it, Ctrl-C takes it back, and so does the end of the time, in "

// TestTerminal ends changes at the prompt of a terminal, and from elsewhere while it waits.
func TestTerminal(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	key := func(keys string) func(*testing.T, terminal) {
		return func(t *testing.T, term terminal) {
			_, err := io.WriteString(term.pty, keys)
			must(t, err)
		}
	}
	for _, c := range []struct {
		name, limit string
		do          func(*testing.T, terminal)
		exit        int
		says        string
	}{
		{"Enter", "600", key("\r"), 0, "confirmed by root"},
		{"y", "600", key("xy"), 0, "confirmed by root"},
		{"Ctrl-C", "600", key("\x03"), 3, "taken back: Ctrl-C"},
		{"time", "2", func(*testing.T, terminal) {}, 3, "taken back: nobody confirmed it in time"},
		{"confirm", "600", func(t *testing.T, _ terminal) { run(t, 0, "confirm", v.Name) }, 0, "confirmed by root"},
		{"revert", "600", func(t *testing.T, _ terminal) { run(t, 0, "revert", v.Name) }, 3, "taken back: root has reverted it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := chain(t, v, 2)
			term := inTerminal(t, "load", v.Name, object(t), "-n", "v_drop", "--confirm", c.limit)
			term.shows(t, v.Name+" "+prompt)
			changed := status(t, v.Name)
			c.do(t, term)
			term.End(t, c.exit)
			term.shows(t, c.says)
			want := before
			if c.exit == 0 {
				want = changed
			}
			if now := status(t, v.Name); !reflect.DeepEqual(now, want) {
				t.Errorf("it is %+v, want %+v", now, want)
			}
			checkEnded(t, v)
		})
	}

	// A command that ends leaves the change to the process that waits.
	for name, end := range map[string]func(*testing.T, terminal){
		"closed":  func(t *testing.T, term terminal) { must(t, term.pty.Close()) },
		"SIGHUP":  func(t *testing.T, term terminal) { term.Signal(t, syscall.SIGHUP) },
		"SIGTERM": func(t *testing.T, term terminal) { term.Signal(t, syscall.SIGTERM) },
		"SIGKILL": func(t *testing.T, term terminal) { term.Signal(t, syscall.SIGKILL) },
	} {
		t.Run(name, func(t *testing.T) {
			before := chain(t, v, 2)
			term := inTerminal(t, "load", v.Name, object(t), "-n", "v_drop", "--confirm", "5")
			term.shows(t, prompt)
			end(t, term)
			term.Wait(t)
			if infos, err := pending.List(); err != nil || len(infos) != 1 || infos[0].Waiter == "" {
				t.Errorf("pending: %+v, %v", infos, err)
			}
			if !harness.Eventually(func() bool { return nothingPending(t) }) {
				t.Fatal("it isn't taken back")
			}
			if now := status(t, v.Name); !reflect.DeepEqual(now, before) {
				t.Errorf("it is %+v, want %+v", now, before)
			}
			checkEnded(t, v)
		})
	}

	// Not a terminal that it may read from.
	before := chain(t, v, 2)
	run(t, 0, "load", v.Name, object(t), "-n", "v_drop", "--confirm", "10m")
	run(t, 0, "revert")
	if now := status(t, v.Name); !reflect.DeepEqual(now, before) {
		t.Errorf("it is %+v, want %+v", now, before)
	}
	must(t, dispatcher.DetachAll(t.Context(), v.Name, dispatcher.DetachOptions{}))
}
