package observe

import (
	"bufio"
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

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
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
	return startCommand(t, columns, lines, nil, append([]string{xdpmux}, args...)...)
}

func startCommand(t *testing.T, columns, lines int, env []string, command ...string) *terminal {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append([]string{"TERM=xterm-256color", "LANG=C.UTF-8", "PATH=" + os.Getenv("PATH")}, env...)
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

// terminalSettings are what a command could leave behind: a terminal's, and the flags of
// whoever has it open.
type terminalSettings struct {
	unix.Termios
	flags int
}

func settings(t *testing.T, fd uintptr) terminalSettings {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
	if err != nil {
		t.Fatal(err)
	}
	return terminalSettings{*s, flags}
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
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 2)
	d := dispatcherOf(t, v)
	// Late in a run ids have five digits or more.
	term := startInTerminal(t, 84, 10, "top", v.Name, "--interval", "100ms")
	term.await(t, "start", func(s string) bool { return strings.Contains(s, "step1") })
	testRun(t, v, d, packet(xdp.Drop), 1000)
	testRun(t, v, d, packet(xdp.Pass), 3000)
	// The packets were some time ago, so the bars of the rate end low.
	c := harness.Status(t, v.Name)
	if len(c.Programs) != 2 {
		t.Fatalf("%+v", c)
	}
	want := strings.Join([]string{
		"xdpmux top HH:MM:SS sorted by chain",
		"Prio ID Program Packets/s Handed on Decided Verdicts",
		v.Name,
		fmt.Sprintf("%d xdp_dispatcher 0.0 BARS COUNTS DROP 25%% PASS 75%%", c.Dispatcher.ID),
		fmt.Sprintf("1 %d step0 0.0 BARS COUNTS DROP 25%% PASS 75%%", c.Programs[0].ID),
		fmt.Sprintf("2 %d step1 0.0 BARS COUNTS PASS 100%%", c.Programs[1].ID),
		"", "", "",
		"? help q quit s sort r reverse p pause",
	}, "\n")
	for _, p := range []struct{ name, handedOn, decided string }{{"step0", "3000", "1000"}} {
		pattern := regexp.MustCompile(p.name + ` +0\.0 .* ` + p.handedOn + ` +` + p.decided + `  DROP`)
		term.await(t, p.name, pattern.MatchString)
	}
	bars, counts, spaces := regexp.MustCompile(`[▁▂▃▄▅▆▇█]{8}`), regexp.MustCompile(`BARS \d+ \d+`), regexp.MustCompile(` +`)
	term.await(t, "counts", func(s string) bool {
		lines := strings.Split(s, "\n")
		for i, line := range lines {
			line = bars.ReplaceAllString(line, "BARS") // the history is full
			lines[i] = counts.ReplaceAllString(strings.TrimSpace(spaces.ReplaceAllString(line, " ")), "BARS COUNTS")
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

	// A smaller terminal, then some that are too small, then a large one.
	term.resize(t, 40, 6)
	term.await(t, "40 columns", func(s string) bool {
		lines := strings.Split(s, "\n")
		return strings.HasSuffix(lines[1], " Packets/s") && strings.Contains(lines[4], " step0 ") && strings.Contains(lines[5], "q quit")
	})
	term.key(t, "\x1b[C\x1b[C\x1b[C") // to the right; the last column may be cut
	term.await(t, "further columns", func(s string) bool { return strings.Contains(s, "Decided  Verdict") })
	term.key(t, "\x1b[D\x1b[D\x1b[D")
	term.await(t, "and back", func(s string) bool { return strings.Contains(s, "Packets/s") })
	term.resize(t, 39, 6)
	term.await(t, "39 columns", func(s string) bool { return strings.Contains(s, "too small: needs 40x6") })
	term.resize(t, 1, 1)
	term.await(t, "1 column", func(s string) bool { return s == "t\n" || s == "t" })
	term.resize(t, 500, 200)
	term.await(t, "500 columns", func(s string) bool { return strings.Contains(s, " step1 ") && strings.Contains(s, "q quit") })
	term.resize(t, 80, 14)
	term.await(t, "80 columns", func(s string) bool { return strings.Contains(s, "step1") && strings.Contains(s, "q quit") })
	term.key(t, "?")
	term.await(t, "help", func(s string) bool {
		return strings.Contains(s, "Ctrl-Z       suspend; fg goes on") && !strings.Contains(s, "step1")
	})
	term.key(t, "?")
	term.await(t, "no help", func(s string) bool { return strings.Contains(s, "step1") })

	term.key(t, "q")
	if err := term.cmd.Wait(); err != nil {
		t.Errorf("q: %v", err)
	}
	if term.screen.Mode()&vt10x.ModeAltScreen != 0 || !term.screen.CursorVisible() {
		t.Error("the screen is left as top had it")
	}
}

// A shell suspends top and continues it; meanwhile the terminal is the shell's.
func TestTopSuspends(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 1)
	const script = `"$0" top "$1" --interval 100ms; echo "stopped: $?"; stty -a; read line; fg >/dev/null; echo "ended: $?"`
	term := startCommand(t, 80, 24, nil, "bash", "--norc", "-m", "-c", script, xdpmux, v.Name)
	term.await(t, "start", func(s string) bool { return strings.Contains(s, "step0") })
	term.key(t, "\x1a")
	term.await(t, "stop", func(s string) bool {
		return strings.Contains(s, "stopped: 148") && strings.Contains(s, " icanon ") && strings.Contains(s, " echo ") && !strings.Contains(s, "step0")
	})
	if term.screen.Mode()&vt10x.ModeAltScreen != 0 || !term.screen.CursorVisible() {
		t.Error("the screen is left as top had it")
	}
	term.resize(t, 72, 10)
	term.key(t, "\r")
	term.await(t, "go on", func(s string) bool {
		return strings.Contains(s, "step0") && strings.Contains(strings.Split(s, "\n")[9], "q quit")
	})
	testRun(t, v, dispatcherOf(t, v), packet(xdp.Pass), 10)
	term.await(t, "counts", regexp.MustCompile(`step0 .* 10  PASS`).MatchString)
	term.key(t, "q")
	term.await(t, "end", func(s string) bool { return strings.Contains(s, "ended: 0") })
	if err := term.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// Without a shell that could continue it, top isn't stopped, and goes on.
func TestTopWithoutShell(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 1)
	term := startInTerminal(t, 80, 10, "top", v.Name, "--interval", "100ms")
	term.await(t, "start", func(s string) bool { return strings.Contains(s, "step0") })
	term.key(t, "\x1a")
	term.await(t, "suspended", func(s string) bool { return !strings.Contains(s, "step0") })
	term.await(t, "going on", func(s string) bool { return strings.Contains(s, "step0") })
	term.key(t, "q")
	if err := term.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// In a locale without Unicode the bars are of ASCII. So they are in one that tcell doesn't know.
func TestTopLocales(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 1)
	for _, locale := range []string{"C", "POSIX", "de_DE.ISO-8859-1", "C.UTF-8", ""} {
		term := startCommand(t, 80, 10, []string{"LC_ALL=" + locale}, xdpmux, "top", v.Name, "--interval", "100ms")
		want := regexp.MustCompile(`step0 +0\.0 [▁]{8} `)
		if locale == "C" || locale == "POSIX" || strings.Contains(locale, "ISO") {
			want = regexp.MustCompile(`step0 +0\.0 [_]{8} `)
		}
		term.await(t, "locale "+locale, want.MatchString)
		term.key(t, "q")
		if err := term.cmd.Wait(); err != nil {
			t.Errorf("locale %q: %v", locale, err)
		}
	}
}

// On a terminal that can't be drawn on, top says so in a sentence, and observes nothing.
func TestTopDumb(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	for _, name := range []string{"dumb", "no-such-terminal", ""} {
		term := startCommand(t, 100, 10, []string{"TERM=" + name}, xdpmux, "top", v.Name)
		err := term.cmd.Wait()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("TERM=%s: %v", name, err)
		}
		term.await(t, "error", func(s string) bool {
			return strings.HasPrefix(s, fmt.Sprintf("xdpmux: top can't draw on a terminal of the type %q (TERM)\n  xdpmux stats", name))
		})
	}
}

// While top is open native tools load and unload, and it shows what they did.
func TestTopFollows(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 1)
	term := startInTerminal(t, 80, 10, "top", v.Name, "--interval", "100ms")
	term.await(t, "start", func(s string) bool { return strings.Contains(s, "step0") })
	harness.MustRun(t, "xdp-loader", "load", v.Name, samples+"xdp_drop_ipv6.o")
	term.await(t, "load", func(s string) bool { return regexp.MustCompile(` 10 +\d+ xdp_drop_ipv6 `).MatchString(s) })
	testRun(t, v, dispatcherOf(t, v), harness.UDP6(flow), 10)
	term.await(t, "count", func(s string) bool { return regexp.MustCompile(`xdp_drop_ipv6 .*DROP 100%`).MatchString(s) })
	c := harness.Status(t, v.Name)
	if len(c.Programs) != 2 {
		t.Fatalf("%+v", c)
	}
	harness.MustRun(t, "xdp-loader", "unload", v.Name, "-i", fmt.Sprint(c.Programs[1].ID))
	term.await(t, "unload", func(s string) bool {
		return regexp.MustCompile(`xdp_drop_ipv6 \(gone\) .*DROP 100%`).MatchString(s)
	})
	harness.MustRun(t, "xdp-loader", "unload", v.Name, "-a")
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
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 1)
	term := startInTerminal(t, 39, 8, "top", v.Name)
	err := term.cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("got %v", err)
	}
	term.await(t, "error", func(s string) bool { return strings.Contains(s, "the terminal has 39 columns and\n 8 lines") })
}
