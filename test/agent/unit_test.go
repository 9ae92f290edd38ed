package agent

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/test/harness"
)

// morePower are the settings of docs/agent.md that add CAP_SYS_ADMIN.
func morePower(t *testing.T) string {
	t.Helper()
	_, rest, _ := strings.Cut(read(t, "../../docs/agent.md"), "```ini\n")
	settings, _, ok := strings.Cut(rest, "```")
	if !ok || !strings.Contains(settings, "CAP_SYS_ADMIN") {
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
// hangs. What runs stays all the while. It does all that without CAP_SYS_ADMIN, and leaves nothing of
// programs and interfaces that are gone.
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
	count := func(text string) int { return strings.Count(read(t, said), text) }
	logged := func(what, text string, n int) {
		t.Helper()
		if !harness.Eventually(func() bool { return count(text) == n }) {
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

	// Native tools take the chain, which is mended, and an interface comes and goes.
	records := func() (all []string) {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/root/run/xdpmux/*.json", s.PID))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			all = append(all, strings.TrimSuffix(filepath.Base(file), ".json"))
		}
		return all
	}
	harness.MustRun(t, "xdp-loader", "unload", v.Name, "--all")
	logged("it isn't mended", fmt.Sprintf("msg=changed interface=%s done=\"add xdp_pass\" mended=true", v.Name), 1)
	put(t, config, "c.yaml", declare(t, "brief", "xdp_drop", "xdp_pass"))
	add(t, "brief")
	logged("an interface that comes gets no chain", "msg=changed interface=brief done=\"add xdp_drop, add xdp_pass\"", 1)
	brief, err := net.InterfaceByName("brief")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(records()); n != 4 {
		t.Errorf("%d records, want those of two programs that run on %s, one that ran on %s, and one that does", n, brief.Name, v.Name)
	}
	harness.MustRun(t, "ip", "link", "del", "brief")
	logged("that it is gone isn't seen", "msg=\"the interface is gone\" interface=brief", 1)
	if pins, err := filepath.Glob(fmt.Sprintf("/sys/fs/bpf/xdp/*-%d-*", brief.Index)); err != nil || len(pins) > 0 {
		t.Errorf("left of an interface that is gone: %q, %v", pins, err)
	}
	if err := os.Remove(filepath.Join(config, "c.yaml")); err != nil {
		t.Fatal(err)
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
	if output, status := s.Ctl(t, "reload", "xdpmux-agent"); status != 0 { // the first may have met the change
		t.Errorf("reload: %s", output)
	}
	id, _, _ := strings.Cut(ran, " ")
	var left string
	if !harness.Eventually(func() bool { left = strings.Join(records(), " "); return left == id }) { // at its next look
		t.Errorf("there are the records %s, and %s runs", left, ran)
	}

	// One that hangs is killed and started anew.
	starts := count(begun)
	put(t, dropIns, "watchdog.conf", "[Service]\nWatchdogSec=2\n")
	if output, status := s.Ctl(t, "daemon-reload"); status != 0 {
		t.Fatal(output)
	}
	if output, status := s.Ctl(t, "restart", "xdpmux-agent"); status != 0 {
		t.Fatal(output)
	}
	logged("it doesn't start", begun, starts+1)
	if output, status := s.Ctl(t, "kill", "--signal=STOP", "xdpmux-agent"); status != 0 {
		t.Fatal(output)
	}
	logged("one that hangs isn't started anew", begun, starts+2)
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

	// With the settings of docs/agent.md it isn't.
	put(t, dropIns, "power.conf", morePower(t))
	if output, status := s.Ctl(t, "daemon-reload"); status != 0 {
		t.Fatal(output)
	}
	if output, status := s.Ctl(t, "restart", "xdpmux-agent"); status != 0 {
		t.Fatal(output)
	}
	logged("a foreign chain isn't changed with more power", fmt.Sprintf("msg=changed interface=%s done=\"add xdp_pass\"", foreign.Name), 1)
	check(t, "with more power", foreign.Name, "xdp_drop xdp_pass")
	harness.MustRun(t, "xdp-loader", "unload", foreign.Name, "--all")

	// The journal has each record as an entry, of its priority and without its time; JSON as it is.
	put(t, units, "journal.service", "[Unit]\nDefaultDependencies=no\n[Service]\nType=notify\nExecStart=/usr/bin/systemd-journald\n")
	put(t, config, "b.yaml", "interfaces: [")
	start := regexp.MustCompile(`(?m)^ExecStart=.*$`).FindString(read(t, filepath.Join(units, "xdpmux-agent.service")))
	for _, c := range []struct {
		format string
		begins map[string]string // what the file that can't be used is said with, by priorities
	}{
		{"text", map[string]string{"4": `msg="this file can't be used`, "6": `msg="the files have been read"`}},
		{"json", map[string]string{"6": `{"time":"`}},
	} {
		put(t, dropIns, "zz-journal.conf", "[Service]\nStandardError=journal\nExecStart=\n"+start+" --log "+c.format+"\n")
		for _, call := range []string{"daemon-reload", "start journal", "restart xdpmux-agent"} {
			if output, status := s.Ctl(t, strings.Fields(call)...); status != 0 {
				t.Fatalf("%s: %s", call, output)
			}
		}
		var entries, said string
		if !harness.Eventually(func() bool {
			entries, said, _ = s.Run(t, "journalctl", "-o", "json", "--no-pager", "_PID="+property("MainPID"))
			return strings.Contains(entries, "this file can't be used") && strings.Contains(entries, "the files have been read")
		}) {
			t.Fatalf("%s: the journal has\n%s%s", c.format, entries, said)
		}
		for line := range strings.Lines(entries) {
			var e struct{ MESSAGE, PRIORITY string }
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			if c.format == "json" && (e.PRIORITY != "6" || !json.Valid([]byte(e.MESSAGE))) || !strings.HasPrefix(e.MESSAGE, c.begins[e.PRIORITY]) {
				t.Errorf("%s: an entry of priority %s: %s", c.format, e.PRIORITY, e.MESSAGE)
			}
		}
	}
}
