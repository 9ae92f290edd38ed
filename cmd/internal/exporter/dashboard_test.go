package exporter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// scrapedLabels are the labels that each series in a scrape has in Prometheus, by its name.
func scrapedLabels(t *testing.T) map[string][]string {
	t.Helper()
	program := observe.Program{Loaded: xdp.Loaded{ID: 7, Name: "xdp_drop"}, Role: observe.RoleComponent, Priority: 10,
		Counts: observe.Counts{Packets: 7, Verdicts: observe.Verdicts{1: 5, 2: 2}, HandedOn: 2, Decided: 5}, Times: &observe.Times{Packets: 7, Total: time.Microsecond}}
	whole := observe.Program{Loaded: xdp.Loaded{ID: 42, Name: "xdp_dispatcher"}, Role: observe.RoleDispatcher, Counts: program.Counts, Times: program.Times}
	var scrape bytes.Buffer
	if err := WriteMetrics(&scrape, &observe.Snapshot{Time: time.Now(), Chains: []observe.Chain{
		{Interface: xdp.Interface{Name: "eth0", Index: 2}, Programs: []observe.Program{whole, program}},
	}}); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(&scrape)
	if err != nil {
		t.Fatal(err)
	}
	series := map[string][]string{}
	for name, family := range families {
		var labels []string
		for _, l := range family.Metric[0].Label {
			labels = append(labels, l.GetName())
		}
		if family.Metric[0].Histogram == nil {
			series[name] = labels
			continue
		}
		series[name+"_sum"], series[name+"_count"] = labels, labels
		series[name+"_bucket"] = append(slices.Clone(labels), "le")
	}
	for name := range series {
		series[name] = append(series[name], "instance") // Prometheus's own: which host
	}
	return series
}

var (
	selector = regexp.MustCompile(`(xdpmux_\w+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
	grouping = regexp.MustCompile(`by \(([^)]*)\)`)
	legend   = regexp.MustCompile(`\{\{(\w+)\}\}`)
	variable = regexp.MustCompile(`label_values\((\w+)(?:\{[^}]*\})?, (\w+)\)`)
)

// The dashboard asks for series and labels that a scrape has, in expressions that
// promtool reads.
func TestDashboard(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is missing: make deps installs it")
	}
	data, err := os.ReadFile("../../../docs/grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Templating struct {
			List []struct {
				Name  string
				Query any
			}
		}
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(data, &dashboard); err != nil {
		t.Fatal(err)
	}
	series := scrapedLabels(t)
	variables := map[string]bool{"$__rate_interval": true}
	for _, v := range dashboard.Templating.List {
		variables["$"+v.Name] = true
		query, ok := v.Query.(map[string]any)
		if !ok {
			continue // the name of a data source's type
		}
		parts := variable.FindStringSubmatch(fmt.Sprint(query["query"]))
		if parts == nil || !slices.Contains(series[parts[1]], parts[2]) {
			t.Errorf("variable %s: no scrape has %v", v.Name, query["query"])
		}
	}
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	asked := map[string]bool{}
	for i, panel := range dashboard.Panels {
		for j, target := range panel.Targets {
			selectors := selector.FindAllStringSubmatch(target.Expr, -1)
			if selectors == nil {
				t.Errorf("%s: %s asks for nothing", panel.Title, target.Expr)
			}
			var labels []string // that each of the series has
			for _, s := range selectors {
				asked[s[1]] = true
				labels = series[s[1]]
				if labels == nil {
					t.Errorf("%s: no scrape has %s", panel.Title, s[1])
				}
				for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
					if !slices.Contains(labels, m[1]) {
						t.Errorf("%s: %s has no label %s", panel.Title, s[1], m[1])
					}
				}
			}
			// Hosts are told apart, and so are programs of one name.
			for _, s := range selectors {
				if !strings.Contains(s[2], `instance=~"$instance"`) {
					t.Errorf("%s: the variable instance doesn't choose in %s", panel.Title, s[0])
				}
			}
			for _, g := range grouping.FindAllStringSubmatch(target.Expr, -1) {
				for _, label := range []string{"instance", "interface", "program", "id"} {
					if slices.Contains(labels, label) && !slices.Contains(strings.Split(g[1], ", "), label) {
						t.Errorf("%s: %s is summed away in %s", panel.Title, label, target.Expr)
					}
				}
			}
			var groups []string
			for _, g := range grouping.FindAllStringSubmatch(target.Expr, -1) {
				for _, label := range strings.Split(g[1], ", ") {
					groups = append(groups, label)
					if !slices.Contains(labels, label) {
						t.Errorf("%s: no label %s to sum by in %s", panel.Title, label, target.Expr)
					}
				}
			}
			for _, l := range legend.FindAllStringSubmatch(target.LegendFormat, -1) {
				if !slices.Contains(groups, l[1]) {
					t.Errorf("%s: the legend's label %s is summed away in %s", panel.Title, l[1], target.Expr)
				}
			}
			expr := regexp.MustCompile(`\$\w+`).ReplaceAllStringFunc(target.Expr, func(name string) string {
				if !variables[name] {
					t.Errorf("%s: no variable %s", panel.Title, name)
				}
				if name == "$__rate_interval" {
					return "5m"
				}
				return "eth0"
			})
			fmt.Fprintf(&rules, "  - record: panel%d_target%d\n    expr: %q\n", i, j, expr)
		}
	}
	if len(asked) < 4 {
		t.Errorf("the dashboard asks for %v only", asked)
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(promtool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s\nof\n%s", err, said, rules.String())
	}
}
