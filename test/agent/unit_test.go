package agent

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/test/harness"
)

// lessPower are the settings of docs/agent.md that take CAP_SYS_ADMIN away.
func lessPower(t *testing.T) string {
	t.Helper()
	_, rest, _ := strings.Cut(read(t, "../../docs/agent.md"), "```ini\n")
	settings, _, ok := strings.Cut(rest, "```")
	if !ok || !strings.Contains(settings, "CAP_BPF") || strings.Contains(settings, "CAP_SYS_ADMIN") {
		t.Fatalf("docs/agent.md has no such settings: %q", settings)
	}
	return settings
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestUnit: systemd starts the agent at boot, reloads it, and starts it again when it is killed or
// hangs. What runs stays all the while. It does all that without CAP_SYS_ADMIN.
func TestUnit(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	t.Cleanup(func() { _ = dispatcher.DetachAll(t.Context(), v.Name, dispatcher.DetachOptions{}) })
	xdpmux, err := exec.LookPath(harness.Xdpmux())
	if err != nil {
		t.Fatal(err)
	}
	unit := read(t, "../../systemd/xdpmux-agent.service.in")
	// The unit has a /tmp of its own.
	if err := os.MkdirAll("/var/lib", 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/var/lib", "xdpmux-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	units, config, said := filepath.Join(dir, "units"), filepath.Join(dir, "config"), filepath.Join(dir, "stderr")
	dropIns := filepath.Join(units, "xdpmux-agent.service.d")
	for _, d := range []string{dropIns, config} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(t, units, "xdpmux-agent.service", strings.NewReplacer("@BINDIR@", filepath.Dir(xdpmux), "@CONFDIR@", config).Replace(unit))
	put(t, dropIns, "power.conf", lessPower(t))
	put(t, dropIns, "test.conf", "[Service]\nStandardError=append:"+said+"\nRestartSec=100ms\nTimeoutAbortSec=100ms\n")
	t.Cleanup(func() {
		if text, err := os.ReadFile(said); t.Failed() {
			t.Logf("the unit said:\n%s%v", text, err)
		}
	})
	put(t, units, "boot.target", "[Unit]\nWants=xdpmux-agent.service\nAfter=xdpmux-agent.service\n")
	put(t, config, "a.yaml", declare(t, v.Name, "xdp_pass"))
	s := harness.BootSystemd(t, units, "boot.target")
	check(t, "booted", v.Name, "xdp_pass")
	ran := runs(t, v.Name)
	property := func(name string) string {
		text, _ := s.Ctl(t, "show", "-P", name, "xdpmux-agent")
		return strings.TrimSpace(text)
	}
	if text := property("StatusText"); text != "1 interfaces, 1 as declared" {
		t.Errorf("it says %q", text)
	}

	// logged waits until the log has a text that often.
	logged := func(what, text string, n int) {
		t.Helper()
		if !harness.Eventually(func() bool {
			data, err := os.ReadFile(said)
			return err == nil && strings.Count(string(data), text) == n
		}) {
			t.Fatal(what)
		}
	}
	const begun = "the files have been read"
	for i, call := range []string{"kill --signal=KILL", "restart"} {
		if output, status := s.Ctl(t, append(strings.Fields(call), "xdpmux-agent")...); status != 0 {
			t.Fatalf("%s: %s", call, output)
		}
		logged(call+": it doesn't come back", begun, i+2)
		if now := runs(t, v.Name); now != ran {
			t.Errorf("%s: it ran %s and runs %s", call, ran, now)
		}
	}

	// A guard is run in the sandbox, which lets it write nowhere but where the agent has to.
	put(t, config, "a.yaml", "confirm: 1\nguard: touch /run/xdpmux/x && rm /run/xdpmux/x && for f in "+config+"/x /usr/x /etc/x; do touch $f && exit 1; done; true\n"+
		declare(t, v.Name, "xdp_drop"))
	if output, status := s.Ctl(t, "reload", "xdpmux-agent"); status != 0 {
		t.Errorf("reload: %s", output)
	}
	logged("the change that a guard watches isn't confirmed", fmt.Sprintf("msg=changed interface=%s done=\"add xdp_drop, remove xdp_pass\"", v.Name), 1)
	check(t, "reloaded", v.Name, "xdp_drop")
	ran = runs(t, v.Name)

	// One that hangs is killed and started anew.
	put(t, dropIns, "watchdog.conf", "[Service]\nWatchdogSec=2\n")
	if output, status := s.Ctl(t, "daemon-reload"); status != 0 {
		t.Fatal(output)
	}
	if output, status := s.Ctl(t, "restart", "xdpmux-agent"); status != 0 {
		t.Fatal(output)
	}
	logged("it doesn't start", begun, 5) // the reload had other files
	if output, status := s.Ctl(t, "kill", "--signal=STOP", "xdpmux-agent"); status != 0 {
		t.Fatal(output)
	}
	logged("one that hangs isn't started anew", begun, 6)
	if now := runs(t, v.Name); now != ran {
		t.Errorf("it ran %s and runs %s", ran, now)
	}

	// A chain that another tool has made is out of its reach.
	foreign := harness.NewVeth(t)
	harness.MustRun(t, "xdp-loader", "load", foreign.Name, harness.Sample("xdp_drop"))
	ran = runs(t, foreign.Name)
	put(t, config, "b.yaml", declare(t, foreign.Name, "xdp_pass"))
	if !harness.Eventually(func() bool {
		for line := range strings.Lines(read(t, said)) {
			if strings.Contains(line, "not changed") && strings.Contains(line, foreign.Name) && strings.Contains(line, "CAP_SYS_ADMIN") {
				return true
			}
		}
		return false
	}) {
		t.Errorf("what it lacks for a foreign chain isn't said")
	}
	if now := runs(t, foreign.Name); now != ran {
		t.Errorf("the foreign chain had %s and has %s", ran, now)
	}
	harness.MustRun(t, "xdp-loader", "unload", foreign.Name, "--all")
}
