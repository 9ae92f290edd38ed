// Package foreground tests what runs until it is stopped, xdpmux run and the programs
// of examples/: that it counts what was sent, and leaves nothing but what it found,
// whatever ends it.
package foreground

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

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

// run is an xdpmux run at work.
type run struct{ *harness.Process }

// start starts one and returns when the program counts.
func start(t *testing.T, args ...string) run {
	t.Helper()
	return startBy(t, exec.Command(harness.Xdpmux(), append([]string{"run"}, args...)...))
}

// startBy is start for a command that becomes one.
func startBy(t *testing.T, cmd *exec.Cmd) run {
	t.Helper()
	p := run{harness.StartCmd(t, cmd)}
	p.total(t)
	return p
}

var lineRE = regexp.MustCompile(`^total +([0-9,]+)  +([0-9,]+) pkt/s$`)

// total reads the next line and returns its total.
func (p run) total(t *testing.T) string {
	t.Helper()
	line := p.Stdout.Line(t)
	m := lineRE.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("line %q\n%s", line, p.Stderr)
	}
	return m[1]
}

// until reads on to the line with that total. The next line has to have it, too.
func (p run) until(t *testing.T, want string) {
	t.Helper()
	last := ""
	for range 1000 {
		total := p.total(t)
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
	p.Stop(t, syscall.SIGINT)
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
		p.Stop(t, sig)
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

// nohup and a script's & start a command with a signal ignored. Such a signal doesn't end run.
func TestIgnoredSignals(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	for name, sig := range map[string]syscall.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT} {
		p := startBy(t, exec.Command("bash", "-c", `trap "" "$1"; shift; exec "$@"`, "bash", name,
			harness.Xdpmux(), "run", "-i", "0.05", v.Name, counting))
		for range 3 {
			p.Signal(t, sig)
			p.total(t)
		}
		expect(t, v, "xdp_drop_ipv6_count")
		p.Stop(t, syscall.SIGTERM)
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
		chain := harness.Status(t, v.Name)
		harness.MustRun(t, harness.Xdpmux(), "unload", "-i", fmt.Sprint(chain.Programs[0].ID), v.Name)
		harness.MustRun(t, "xdp-loader", "unload", "-i", fmt.Sprint(chain.Programs[2].ID), v.Name)
	}
	p.until(t, "3")
	harness.MustRun(t, "xdp-loader", "load", v.Name, pass)
	p.Stop(t, syscall.SIGTERM)
	expect(t, v, "xdp_pass")
	harness.MustRun(t, harness.Xdpmux(), "unload", "-a", v.Name)
}

func TestUnloadedByOthers(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	p := start(t, "--interval", "100ms", v.Name, counting)
	harness.MustRun(t, "xdp-loader", "unload", "-a", v.Name)
	harness.MustRun(t, harness.Xdpmux(), "load", v.Name, pass)
	p.Stop(t, syscall.SIGINT)
	if !strings.Contains(p.Stderr.String(), "was unloaded from "+v.Name+" by somebody else") {
		t.Errorf("stderr: %s", p.Stderr)
	}
	expect(t, v, "xdp_pass")
	harness.MustRun(t, harness.Xdpmux(), "unload", "-a", v.Name)
}

func TestKilled(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	p := start(t, "--interval", "100ms", v.Name, counting)
	p.Signal(t, syscall.SIGKILL)
	p.End(t, -1)
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
	chain := harness.Status(t, v.Name)
	if c := chain.Programs[0]; *chain.Mode != xdp.ModeSKB || c.Priority != 77 || c.Actions != *xdp.On(xdp.Drop) {
		t.Errorf("mode %v, program %+v", chain.Mode, c)
	}
	p.Stop(t, syscall.SIGINT)
}
