package observe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/test/kernel"
)

const exitSignal = syscall.SIGTERM

// terminal is a pseudo-terminal with the command in it.
type terminal struct {
	screen vt10x.Terminal
	pty    *os.File
	cmd    *exec.Cmd
	drawn  chan struct{} // something was, since it was last read
	done   chan struct{}
}

func startInTerminal(t *testing.T, columns, lines int, args ...string) *terminal {
	t.Helper()
	cmd := exec.Command(xdpmux, args...)
	cmd.Env = []string{"TERM=xterm-256color", "LANG=C.UTF-8"}
	// The terminal's other end stays open here, so that its settings can be read
	// after the command has ended.
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(master, &pty.Winsize{Cols: uint16(columns), Rows: uint16(lines)}); err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	term := &terminal{screen: vt10x.New(vt10x.WithSize(columns, lines)), pty: master, cmd: cmd, drawn: make(chan struct{}, 1), done: make(chan struct{})}
	t.Cleanup(func() {
		slave.Close()
		master.Close()
		<-term.done
	})
	before := settings(t, slave.Fd())
	if err := cmd.Start(); err != nil {
		close(term.done)
		t.Fatal(err)
	}
	go func() {
		defer close(term.done)
		for r := bufio.NewReader(master); term.screen.Parse(r) == nil; { // until both ends are closed
			select {
			case term.drawn <- struct{}{}:
			default:
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if after := settings(t, slave.Fd()); after != before {
			t.Errorf("the terminal was %+v, and is left as %+v", before, after)
		}
	})
	return term
}

func settings(t *testing.T, fd uintptr) unix.Termios {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

func (term *terminal) lines() []string {
	var lines []string
	for _, line := range strings.Split(term.screen.String(), "\n") {
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}

// await waits until the screen matches, with the time of day masked.
func (term *terminal) await(t *testing.T, what string, ok func(screen string) bool) {
	t.Helper()
	clock := regexp.MustCompile(`\d\d:\d\d:\d\d`)
	for limit := time.After(20 * time.Second); ; {
		screen := clock.ReplaceAllString(strings.Join(term.lines(), "\n"), "HH:MM:SS")
		if ok(screen) {
			return
		}
		select {
		case <-term.drawn:
		case <-limit:
			t.Fatalf("%s: the screen stays\n%s", what, screen)
		}
	}
}

func (term *terminal) key(t *testing.T, key string) {
	t.Helper()
	if _, err := io.WriteString(term.pty, key); err != nil {
		t.Fatal(err)
	}
}

func TestTop(t *testing.T) {
	kernel.NoLeak(t)
	v := kernel.NewVeth(t)
	stepsOn(t, v, 2)
	d := dispatcherOf(t, v)
	term := startInTerminal(t, 80, 10, "top", v.Name, "--interval", "100ms")
	term.await(t, "start", func(s string) bool { return strings.Contains(s, "step1") })
	testRun(t, v, d, packet(dispatcher.Drop), 1000)
	testRun(t, v, d, packet(dispatcher.Pass), 3000)
	// The rate has been and gone: its bars end low.
	bars := regexp.MustCompile(`[▁▂▃▄▅▆▇█]+`)
	want := strings.Join([]string{
		"xdpmux top  HH:MM:SS  sorted by chain",
		" Prio Program                     Packets/s               Verdicts",
		v.Name,
		"      xdp_dispatcher                    0.0 BARS  DROP 25% PASS 75%",
		"    1 step0                             0.0 BARS  DROP 25% PASS 75%",
		"    2 step1                             0.0 BARS  PASS 100%",
		"", "", "",
		" q quit  s sort  r reverse  p pause  up/down scroll",
	}, "\n")
	term.await(t, "counts", func(s string) bool {
		lines := strings.Split(s, "\n")
		for i, line := range lines {
			bar := bars.FindString(line)
			if bar != "" && len([]rune(bar)) != 12 {
				return false // the history isn't full yet
			}
			lines[i] = bars.ReplaceAllString(line, "BARS")
		}
		return strings.TrimRight(strings.Join(lines, "\n"), "\n") == want
	})
	term.key(t, "s")
	term.await(t, "sort", func(s string) bool { return strings.Contains(s, "sorted by rate") })
	term.key(t, "r")
	term.await(t, "reverse", func(s string) bool {
		return strings.Contains(s, "sorted by rate, reversed") && strings.Index(s, "step1") < strings.Index(s, "step0")
	})
	term.key(t, "r")

	// A smaller terminal, then one that is too small, then the old one.
	term.resize(t, 60, 8)
	term.await(t, "60 columns", func(s string) bool {
		lines := strings.Split(s, "\n")
		return strings.Contains(lines[7], "q quit") && strings.Contains(lines[5], "step1")
	})
	term.resize(t, 40, 8)
	term.await(t, "40 columns", func(s string) bool { return strings.Contains(s, "too small: needs 60x8") })
	term.resize(t, 80, 10)
	term.await(t, "80 columns", func(s string) bool { return strings.Contains(s, "step1") && strings.Contains(s, "q quit") })

	term.key(t, "q")
	if err := term.cmd.Wait(); err != nil {
		t.Errorf("q: %v", err)
	}
	if term.screen.Mode()&vt10x.ModeAltScreen != 0 || !term.screen.CursorVisible() {
		t.Error("the screen is left as top had it")
	}
}

// While top is open native tools load and unload, and it shows what they did.
func TestTopFollows(t *testing.T) {
	kernel.NoLeak(t)
	v := kernel.NewVeth(t)
	stepsOn(t, v, 1)
	term := startInTerminal(t, 80, 10, "top", v.Name, "--interval", "100ms")
	term.await(t, "start", func(s string) bool { return strings.Contains(s, "step0") })
	kernel.MustRun(t, "xdp-loader", "load", v.Name, samples+"xdp_drop_ipv6.o")
	term.await(t, "load", func(s string) bool { return strings.Contains(s, "   10 xdp_drop_ipv6 ") })
	testRun(t, v, dispatcherOf(t, v), kernel.UDP6(flow), 10)
	term.await(t, "count", func(s string) bool { return regexp.MustCompile(`xdp_drop_ipv6 .*DROP 100%`).MatchString(s) })
	c, err := dispatcher.Status(context.Background(), v.Name)
	if err != nil || len(c.Programs) != 2 {
		t.Fatalf("%+v, %v", c, err)
	}
	kernel.MustRun(t, "xdp-loader", "unload", v.Name, "-i", fmt.Sprint(c.Programs[1].ID))
	term.await(t, "unload", func(s string) bool {
		return regexp.MustCompile(`xdp_drop_ipv6 \(gone\) .*DROP 100%`).MatchString(s)
	})
	kernel.MustRun(t, "xdp-loader", "unload", v.Name, "-a")
	term.await(t, "empty", func(s string) bool { return strings.Contains(s, "step0 (gone)") })
	term.key(t, "q")
	if err := term.cmd.Wait(); err != nil {
		t.Errorf("q: %v", err)
	}
}

func (term *terminal) resize(t *testing.T, columns, lines int) {
	t.Helper()
	term.screen.Resize(columns, lines)
	if err := pty.Setsize(term.pty, &pty.Winsize{Cols: uint16(columns), Rows: uint16(lines)}); err != nil {
		t.Fatal(err)
	}
}

func TestTopTooSmall(t *testing.T) {
	kernel.NoLeak(t)
	v := kernel.NewVeth(t)
	stepsOn(t, v, 1)
	term := startInTerminal(t, 50, 8, "top", v.Name)
	err := term.cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("got %v", err)
	}
	term.await(t, "error", func(s string) bool { return strings.Contains(s, "the terminal has 50 columns and 8 lines") })
}
