// Package foreground tests xdpmux run: that it counts what was sent, and leaves
// nothing but what it found, whatever ends it.
package foreground

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

var (
	counting = harness.Sample("xdp_drop_ipv6_count")
	first    = harness.Sample("xdp_count")
	pass     = harness.Sample("xdp_pass")
	many     = harness.Fixture("maps")
)

// process is an xdpmux run at work.
type process struct {
	cmd    *exec.Cmd
	lines  *bufio.Reader
	stderr *strings.Builder
}

// start starts one and returns when the program counts. It is killed at the test's
// end if it hasn't ended.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startBy(t, exec.Command(harness.Xdpmux(), append([]string{"run"}, args...)...))
}

// startBy is start for a command that becomes one.
func startBy(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, stderr: &strings.Builder{}}
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewReader(stdout)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	p.line(t)
	return p
}

var lineRE = regexp.MustCompile(`^total +([0-9,]+)  +([0-9,]+) pkt/s\n$`)

// line reads the next line and returns its total.
func (p *process) line(t *testing.T) (total string) {
	t.Helper()
	line, err := p.lines.ReadString('\n')
	if err != nil {
		t.Fatalf("no line: %v\n%s", err, p.stderr)
	}
	m := lineRE.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("line %q", line)
	}
	return m[1]
}

// until reads on to the line with that total, which has to stay.
func (p *process) until(t *testing.T, want string) {
	t.Helper()
	last := ""
	for range 1000 {
		total := p.line(t)
		if total == want && last == want {
			return
		}
		if last == want {
			t.Fatalf("total %s, want %s", total, want)
		}
		last = total
	}
	t.Fatalf("total %s after 1000 lines, want %s", last, want)
}

// end waits for its end.
func (p *process) end(t *testing.T, status int) {
	t.Helper()
	_, _ = io.Copy(io.Discard, p.lines)
	_ = p.cmd.Wait()
	if got := p.cmd.ProcessState.ExitCode(); got != status {
		t.Errorf("exit status %d, want %d\n%s", got, status, p.stderr)
	}
}

func expect(t *testing.T, v *harness.Veth, want string) {
	t.Helper()
	if got := harness.Programs(t, v); got != want {
		t.Errorf("programs on %s: %q, want %q", v.Name, got, want)
	}
}

func TestCountsExactly(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	p := start(t, "--interval", "200ms", v.Name, counting)
	var frames [][]byte
	for range 10000 {
		frames = append(frames, harness.UDP6(harness.Flow{}), harness.UDP4(harness.Flow{}))
	}
	if passed := v.Deliver(t, frames...); len(passed) != 10000 {
		t.Errorf("%d packets passed, want 10000", len(passed))
	}
	p.until(t, "10,000")
	p.signal(t, syscall.SIGINT)
	p.end(t, 0)
}

func (p *process) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func TestEndsLeaveTheOthers(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	harness.MustRun(t, harness.Xdpmux(), "load", v.Name, first, pass)
	defer harness.MustRun(t, harness.Xdpmux(), "unload", "-a", v.Name)
	const others, all = "xdp_count xdp_pass", "xdp_count xdp_drop_ipv6_count xdp_pass"
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		p := start(t, "--interval", "100ms", v.Name, counting)
		expect(t, v, all)
		p.signal(t, sig)
		p.end(t, 0)
		expect(t, v, others)
	}
	out := harness.MustRun(t, harness.Xdpmux(), "run", "--interval", "50ms", "--count", "3", v.Name, counting)
	if n := strings.Count(out, "\n"); n != 3 {
		t.Errorf("%d lines, want 3:\n%s", n, out)
	}
	expect(t, v, others)

	// The reader of the output goes away.
	closed := exec.Command("bash", "-c", `set -o pipefail; "$0" run --interval 50ms "$1" "$2" | head -n 1`, harness.Xdpmux(), v.Name, counting)
	if out, err := closed.CombinedOutput(); err != nil || strings.Count(string(out), "\n") != 1 {
		t.Errorf("closed pipe: %v\n%s", err, out)
	}
	expect(t, v, others)
}

// What is started with a signal ignored, as by nohup and by a script's &, doesn't end
// by it.
func TestIgnoredSignals(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	for name, sig := range map[string]syscall.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT} {
		p := startBy(t, exec.Command("bash", "-c", `trap "" "$1"; shift; exec "$@"`, "bash", name,
			harness.Xdpmux(), "run", "-i", "0.05", v.Name, counting))
		for range 3 {
			p.signal(t, sig)
			p.line(t)
		}
		expect(t, v, "xdp_drop_ipv6_count")
		p.signal(t, syscall.SIGTERM)
		p.end(t, 0)
		expect(t, v, "")
	}
}

func TestOthersChangeTheChain(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	p := start(t, "--interval", "100ms", v.Name, counting)
	for range 3 {
		harness.MustRun(t, "xdp-loader", "load", v.Name, pass)
		harness.MustRun(t, harness.Xdpmux(), "load", v.Name, first)
		expect(t, v, "xdp_count xdp_drop_ipv6_count xdp_pass")
		v.Deliver(t, harness.UDP6(harness.Flow{}))
		chain, err := dispatcher.Status(t.Context(), v.Name)
		if err != nil {
			t.Fatal(err)
		}
		harness.MustRun(t, harness.Xdpmux(), "unload", "-i", fmt.Sprint(chain.Programs[0].ID), v.Name)
		harness.MustRun(t, "xdp-loader", "unload", "-i", fmt.Sprint(chain.Programs[2].ID), v.Name)
	}
	p.until(t, "3")
	harness.MustRun(t, "xdp-loader", "load", v.Name, pass)
	p.signal(t, syscall.SIGTERM)
	p.end(t, 0)
	expect(t, v, "xdp_pass")
	harness.MustRun(t, harness.Xdpmux(), "unload", "-a", v.Name)
}

func TestUnloadedByOthers(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	p := start(t, "--interval", "100ms", v.Name, counting)
	harness.MustRun(t, "xdp-loader", "unload", "-a", v.Name)
	harness.MustRun(t, harness.Xdpmux(), "load", v.Name, pass)
	p.signal(t, syscall.SIGINT)
	p.end(t, 0)
	if !strings.Contains(p.stderr.String(), "was unloaded from "+v.Name+" by somebody else") {
		t.Errorf("stderr: %s", p.stderr)
	}
	expect(t, v, "xdp_pass")
	harness.MustRun(t, harness.Xdpmux(), "unload", "-a", v.Name)
}

func TestKilled(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	p := start(t, "--interval", "100ms", v.Name, counting)
	p.signal(t, syscall.SIGKILL)
	p.end(t, -1)
	if status := harness.MustRun(t, harness.Xdpmux(), "status", v.Name); !strings.Contains(status, "xdp_drop_ipv6_count") {
		t.Errorf("status after a kill:\n%s", status)
	}
	harness.MustRun(t, harness.Xdpmux(), "unload", "-a", v.Name)
	expect(t, v, "")
}

func TestBadInputLoadsNothing(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	for _, c := range []struct{ args, want string }{
		{"IF", "run needs an interface and a file"},
		{"--interval 0s IF " + counting, `interval "0s" is not a time of 10ms or more`},
		{"--interval -1s IF " + counting, `interval "-1s" is not a time of 10ms or more`},
		{"--interval soon IF " + counting, `interval "soon" is not a time`},
		{"--count 0 IF " + counting, `count "0" is not a number from 1 on`},
		{"--map rxcount IF " + counting, counting + ` has no map "rxcount"` + "\n  its maps: rxcnt\n"},
		{"--map a_struct IF " + many, "the values of map a_struct aren't numbers"},
		{"IF " + many, many + " has 6 maps of numbers\n  choose one with --map: a_hash, a_cpu_hash, "},
		{"IF " + pass, pass + " has no map of numbers to print\n  it has none\n"},
		{"IF ../../build/bpf/fixtures/nobtf.o", "no type information (BTF)"},
		{"IF /nowhere.o", "can't open /nowhere.o"},
		{"nowhere0 " + counting, `no interface "nowhere0"`},
		{"-m fast IF " + counting, `unknown mode "fast"`},
	} {
		args := append([]string{"run"}, strings.Fields(strings.ReplaceAll(c.args, "IF", v.Name))...)
		stdout, stderr, status := harness.Run(t, harness.Xdpmux(), args...)
		if status != 1 || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("run %s: status %d, %q\nwant %q\n got %q", c.args, status, stdout, c.want, stderr)
		}
		expect(t, v, "")
	}
}

func TestTakesLoadsOptions(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	p := start(t, "-m", "skb", "-P", "77", "-A", "XDP_DROP", "--map", "a_hash", "--interval", "100ms", v.Name, many)
	chain, err := dispatcher.Status(t.Context(), v.Name)
	if err != nil {
		t.Fatal(err)
	}
	if c := chain.Programs[0]; *chain.Mode != xdp.ModeSKB || c.Priority != 77 || c.Actions != *xdp.On(xdp.Drop) {
		t.Errorf("mode %v, program %+v", chain.Mode, c)
	}
	p.signal(t, syscall.SIGINT)
	p.end(t, 0)
}
