package agent

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestExporter: whoever looks at the agent's page or figures sees what is declared beside what runs,
// and packets, which are counted only then. When nothing happens the agent sleeps.
func TestExporter(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	dir := t.TempDir()
	put(t, dir, "a.yaml", declare(t, v.Name, "xdp_pass", "xdp_drop"))
	a := start(t, dir, "--listen", "127.0.0.1:0", "--drift", "report")
	url := a.until(t, "serving", "").URL
	read := a.until(t, "the files have been read", "")
	a.changes(t, "started", v.Name, "xdp_drop xdp_pass")
	uncounted := harness.Snapshot(t)
	sleeps(t, a.PID())
	if said := harness.Get(t, url+"/readyz"); said != "ok\n" {
		t.Errorf("/readyz: %q", said)
	}
	uncounted.Check(t)

	figures(t, url, fmt.Sprintf(`interface{condition="as declared",interface="%s"} 1`, v.Name), fmt.Sprintf(`interface_generation{interface="%s"} %d`, v.Name, read.Generation))
	v.Deliver(t, slices.Repeat([][]byte{harness.UDP4(harness.Flow{})}, 10)...)
	dropped := regexp.MustCompile(`\nxdpmux_chain_packets_total\{interface="` + v.Name + `",verdict="XDP_DROP"\} 10\n`)
	var scrape string
	if !harness.Eventually(func() bool { scrape = harness.Get(t, url+"/metrics"); return dropped.MatchString(scrape) }) {
		t.Errorf("of ten packets it tells\n%s", scrape)
	}
	if converged := regexp.MustCompile(`\nxdpmux_agent_last_convergence_timestamp_seconds (\S+)\n`).FindStringSubmatch(scrape); converged == nil || converged[1] == "0" {
		t.Errorf("when all was as declared: %q", converged)
	}
	shows(t, url+"/", "<h1>"+v.Name+"</h1>", `<p class="condition">as declared</p>`, "xdp_drop decides XDP_DROP: 10 packets", fmt.Sprintf("<dt>Generation</dt><dd>%d</dd>", read.Generation))

	harness.MustRun(t, native, "unload", v.Name, "-a")
	a.until(t, "drift: the interface is no longer as declared", v.Name)
	put(t, dir, "b.yaml", "interfaces: [")
	a.until(t, "this file can't be used", "b.yaml")
	figures(t, url, fmt.Sprintf(`file_broken{file="%s"} 1`, filepath.Join(dir, "b.yaml")), `errors_total{kind="invalid argument"} 1`)
	shows(t, url+"/", "<h1>"+v.Name+"</h1>", `<p class="condition ill">drifted</p>`, "<dt>To do</dt><dd>add xdp_pass, add xdp_drop</dd>", `<p class="ill">`+filepath.Join(dir, "b.yaml")+":2:1: ")
	// The next agent shows the same, and counts nothing.
	a.Stop(t, syscall.SIGTERM)
	a = start(t, dir, "--listen", "127.0.0.1:0", "--drift", "report", "--count", "nothing")
	url = a.until(t, "serving", "").URL
	a.until(t, "drift: the interface is no longer as declared", v.Name)
	figures(t, url, fmt.Sprintf(`interface{condition="drifted",interface="%s"} 1`, v.Name))
	harness.MustRun(t, native, "load", v.Name, harness.Sample("xdp_pass"))
	if scrape := harness.Get(t, url+"/metrics"); strings.Contains(scrape, "xdpmux_chain_packets_total") {
		t.Errorf("it counts\n%s", scrape)
	}
	harness.MustRun(t, native, "unload", v.Name, "-a")
	a.end(t)
}

// shows waits until the agent's page has these texts.
func shows(t *testing.T, page string, want ...string) {
	t.Helper()
	var text string
	if !harness.Eventually(func() bool { // it is of the second that has begun
		text = html.UnescapeString(harness.Get(t, page))
		return !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(text, w) })
	}) {
		t.Errorf("want %q in\n%s", want, text)
	}
}

// sleeps waits until no thread of the process has run for three seconds, which are fewer than there
// are between two looks, and fails the test if the process is larger than 25 MiB then.
func sleeps(t *testing.T, pid int) {
	t.Helper()
	const tries = 20 // of which one may meet a look of the agent
	for i, before := 0, switches(t, pid); ; i++ {
		time.Sleep(3 * time.Second)
		now := switches(t, pid)
		if now == before {
			break
		}
		if i == tries {
			t.Errorf("it was awake %d times in three seconds", now-before)
			break
		}
		before = now
	}
	fds, memory := size(t, pid)
	t.Logf("asleep: %d KiB, %d descriptors", memory, fds)
	if memory > most {
		t.Errorf("it has %d KiB", memory)
	}
}

// switches is how often threads of the process have begun to wait, or were interrupted.
func switches(t *testing.T, pid int) (n int) {
	t.Helper()
	all, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(all) == 0 {
		t.Fatalf("no thread of %d: %v", pid, err)
	}
	for _, path := range all {
		status, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		for _, m := range regexp.MustCompile(`voluntary_ctxt_switches:\s*(\d+)`).FindAllStringSubmatch(string(status), -1) {
			var k int
			fmt.Sscan(m[1], &k)
			n += k
		}
	}
	return n
}
