//go:build !lean

package main

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

// TestMetrics has promtool read a scrape, and looks for what a dashboard asks for.
// What is counted is proven on a real kernel, in test/observe.
func TestMetrics(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is missing: make deps installs it")
	}
	program := observe.Program{
		Loaded:   dispatcher.Loaded{ID: 21, Name: "xdp_drop", Tag: "57cd311f2e27366b"},
		Role:     observe.RoleComponent,
		Priority: 10,
		Actions:  dispatcher.On(dispatcher.Pass),
		Counts:   observe.Counts{Packets: 7, Verdicts: observe.Verdicts{1: 5, 2: 2}, HandedOn: 2, Decided: 5},
	}
	blind := observe.Program{Loaded: dispatcher.Loaded{ID: 22, Name: "nobtf"}, Role: observe.RoleLegacy, Blind: errors.New("no BTF")}
	var scrape bytes.Buffer
	err = writeMetrics(&scrape, &observe.Snapshot{Time: time.Now(), Chains: []observe.Chain{
		{Interface: dispatcher.Interface{Name: "eth0", Index: 2}, Programs: []observe.Program{program}},
		{Interface: dispatcher.Interface{Name: "eth1", Index: 3}, Programs: []observe.Program{blind}},
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
