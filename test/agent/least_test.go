package agent

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestCountsWithoutSysAdmin: with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON alone the agent loads chains of
// one, two and ten, and counts their packets, as stats and the exporter do. Of a chain that another
// tool has made they say what they lack, and the others are counted all the same.
func TestCountsWithoutSysAdmin(t *testing.T) {
	harness.NoLeak(t)
	const three = "+net_admin,+bpf,+perfmon"
	as := []string{"setpriv", "--bounding-set=-all," + three, "--inh-caps=-all," + three}
	dir := t.TempDir()
	object, err := filepath.Abs(harness.Fixture("verdicts"))
	if err != nil {
		t.Fatal(err)
	}
	chains := map[*harness.Veth]int{}
	for _, n := range []int{1, 2, 10} {
		v := harness.NewVeth(t)
		chains[v] = n
		var programs []string
		for i := range n {
			programs = append(programs, fmt.Sprintf("{name: p%d, object: %s, program: %s, priority: %d}", i, object, map[bool]string{true: "v_drop", false: "v_pass"}[i == n-1], 10*i))
		}
		put(t, dir, v.Name+".yaml", fmt.Sprintf("interfaces: [{name: %s, programs: [%s]}]", v.Name, strings.Join(programs, ", ")))
	}
	foreign := harness.NewVeth(t)
	harness.MustRun(t, native, "load", foreign.Name, harness.Sample("xdp_drop"))
	put(t, dir, "foreign.yaml", declare(t, foreign.Name, "xdp_pass"))

	a := startAs(t, as, dir, "--listen", "127.0.0.1:0")
	url := a.until(t, "serving", "").URL
	if r := a.until(t, "not changed", foreign.Name); !strings.Contains(r.Error, "CAP_SYS_ADMIN") {
		t.Errorf("%+v", r)
	}
	exporter := harness.Start(t, as[0], append(as[1:], harness.Xdpmux(), "stats", "--listen", "127.0.0.1:0")...)
	address := regexp.MustCompile(`http://[0-9.:]+`)
	exporter.Stderr.Until(t, address.MatchString)
	urls := []string{url, address.FindString(exporter.Stderr.String())}
	scrape := ""
	for _, url := range urls {
		if !harness.Eventually(func() bool {
			scrape = harness.Get(t, url+"/metrics")
			return strings.Count(scrape, "xdpmux_chain_packets_total{") == 6*len(chains)
		}) {
			t.Fatalf("it doesn't count as many chains as there are:\n%s", scrape)
		}
	}
	for v := range chains {
		v.Deliver(t, slices.Repeat([][]byte{harness.UDP4(harness.Flow{})}, 10)...)
	}
	var want []string
	for v, n := range chains {
		want = append(want, fmt.Sprintf(`xdpmux_chain_packets_total{interface="%s",verdict="XDP_DROP"} 10`, v.Name),
			fmt.Sprintf(`xdpmux_program_decided_packets_total{id="%d",interface="%s",priority="%d",program="v_drop"} 10`, harness.Status(t, v.Name).Programs[n-1].ID, v.Name, 10*(n-1)))
	}
	for _, url := range urls {
		if !harness.Eventually(func() bool {
			scrape = harness.Get(t, url+"/metrics")
			return !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(scrape, "\n"+w+"\n") })
		}) {
			t.Errorf("it tells not %q, but\n%s", want, scrape)
		}
	}
	stats := append(slices.Clone(as), harness.Xdpmux(), "stats", "-c", "1", "-i", "100ms")
	said := harness.MustRun(t, stats[0], stats[1:]...)
	for v, n := range chains {
		shows(t, url+"/?interface="+v.Name, "v_drop decides XDP_DROP: 10 packets")
		if !strings.Contains(said, v.Name) || strings.Count(said, "v_drop") != len(chains) {
			t.Errorf("of a chain of %d on %s stats says\n%s", n, v.Name, said)
		}
	}
	_, said, status := harness.Run(t, stats[0], append(stats[1:], foreign.Name)...)
	if !strings.Contains(said, "CAP_SYS_ADMIN missing") || status != 1 {
		t.Errorf("of a foreign chain stats says, with status %d,\n%s", status, said)
	}
	shows(t, url+"/?interface="+foreign.Name, "<h1>"+foreign.Name+"</h1>", "CAP_SYS_ADMIN missing")
	since := time.Now()
	harness.MustRun(t, native, "unload", foreign.Name, "-a")
	a.changes(t, "no other tool's chain any more", foreign.Name, "xdp_pass")
	within(t, "that the chain is gone is seen, and not at the next try,", since, 30*time.Second)
	a.end(t)
}
