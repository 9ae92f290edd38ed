package exporter

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// TestMetrics has promtool read a scrape, and looks for what a dashboard asks for.
// What is counted is proven on a real kernel, in test/observe.
func TestMetrics(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is missing: make deps installs it")
	}
	program := observe.Program{
		Loaded:   xdp.Loaded{ID: 21, Name: "xdp_drop", Tag: "57cd311f2e27366b"},
		Role:     observe.RoleComponent,
		Priority: 10,
		Actions:  xdp.On(xdp.Pass),
		Counts:   observe.Counts{Packets: 7, Verdicts: observe.Verdicts{1: 5, 2: 2}, HandedOn: 2, Decided: 5},
	}
	blind := observe.Program{Loaded: xdp.Loaded{ID: 22, Name: "nobtf"}, Role: observe.RoleLegacy, Blind: errors.New("no BTF")}
	var scrape bytes.Buffer
	err = WriteMetrics(&scrape, &observe.Snapshot{Time: time.Now(), Chains: []observe.Chain{
		{Interface: xdp.Interface{Name: "eth0", Index: 2}, Programs: []observe.Program{program}},
		{Interface: xdp.Interface{Name: "eth1", Index: 3}, Programs: []observe.Program{blind}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	text := scrape.String()
	want := `{id="21",interface="eth0",priority="10",program="xdp_drop",verdict="XDP_DROP"} 5`
	if !strings.Contains(text, want) {
		t.Errorf("no %s in\n%s", want, text)
	}
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = &scrape
	if said, err := check.CombinedOutput(); err != nil || len(said) > 0 {
		t.Errorf("promtool: %v\n%s\nof\n%s", err, said, text)
	}
}

// What the kernel allows makes no scrape that Prometheus refuses: no series is there
// twice, and no label holds what isn't UTF-8.
func TestMetricsAnyway(t *testing.T) {
	counts := func(drop, pass uint64) observe.Counts {
		return observe.Counts{Packets: drop + pass, Verdicts: observe.Verdicts{1: drop, 2: pass}, Decided: drop + pass}
	}
	whole := observe.Program{Loaded: xdp.Loaded{ID: 40, Name: "xdp_dispatcher"}, Role: observe.RoleDispatcher, Gone: true, Counts: counts(5, 3)}
	legacy := observe.Program{Loaded: xdp.Loaded{ID: 41, Name: "alone"}, Role: observe.RoleLegacy, Counts: counts(1, 2)}
	legacy.Times = &observe.Times{}
	blind := observe.Program{Loaded: xdp.Loaded{ID: 42}, Role: observe.RoleLegacy, Blind: errors.New("no BTF")}
	on := func(index int, name string, programs ...observe.Program) observe.Chain {
		c := observe.Chain{Interface: xdp.Interface{Name: name, Index: index}, Programs: programs}
		for _, p := range programs {
			for v, n := range p.Verdicts {
				c.Out.Verdicts[v] += n
			}
		}
		return c
	}
	for _, c := range []struct {
		name   string
		chains []observe.Chain
		want   string // of xdpmux_chain_packets_total, with the verdict XDP_DROP
	}{
		{"a lone program follows a chain", []observe.Chain{on(2, "eth0", whole, legacy)}, `{interface="eth0",verdict="XDP_DROP"} 6`},
		{"an interface twice", []observe.Chain{on(2, "eth0", legacy), on(2, "eth0", legacy)}, `{interface="eth0",verdict="XDP_DROP"} 1`},
		{"a name of two interfaces", []observe.Chain{on(2, "eth0", legacy), on(3, "eth0", whole, legacy)}, `{interface="eth0",verdict="XDP_DROP"} 7`},
		{"a name that is no text", []observe.Chain{on(2, "e\xff\xfe\n", legacy)}, "{interface=\"e\ufffd\\\\n\",verdict=\"XDP_DROP\"} 1"},
		{"what can't be counted follows a chain", []observe.Chain{on(2, "eth0", whole, blind)}, ""},
	} {
		var text bytes.Buffer
		if err := WriteMetrics(&text, &observe.Snapshot{Chains: c.chains}); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := ""
		for line := range strings.Lines(text.String()) {
			if series, ok := strings.CutPrefix(line, "xdpmux_chain_packets_total"); ok && strings.Contains(line, "XDP_DROP") {
				got += strings.TrimSpace(series)
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q\n%s", c.name, got, c.want, &text)
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		if _, err := parser.TextToMetricFamilies(&text); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
