package pending

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestState applies a state that says itself how it is to be tried. plan says so beforehand, and
// the command line may say otherwise.
func TestState(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	well := filepath.Join(t.TempDir(), "well") // the guard fails without it
	must(t, os.WriteFile(well, nil, 0o600))
	file := stateFile(t, v, "v_drop", 5)
	programs, err := os.ReadFile(file)
	must(t, err)
	say := func(trial string) { must(t, os.WriteFile(file, []byte(trial+string(programs)), 0o600)) }
	for _, c := range []struct {
		trial string
		args  []string
		plan  string // of apply
		says  string
		end   func()
		kept  bool
	}{
		{"confirm: 600\n", nil, " takes this back after 10m0s, unless it is confirmed\n",
			"in 10m0s, unless it is confirmed: xdpmux confirm", func() { run(t, 0, "confirm") }, true},
		{"confirm: 600\n", []string{"--confirm", "1"}, " takes this back after 10m0s", "in 1s, unless", func() {}, false},
		{"guard: test -e " + well + "\nguard-interval: 1\n", nil, fmt.Sprintf(" takes this back if the guard %q fails within 1m0s, and else confirms it\n", "test -e "+well),
			"unless its guard fails", func() { must(t, os.Remove(well)) }, false},
		{"confirm: 600\nguard: 'false'\nguard-drops: 7\n", []string{"--guard", "true", "--guard-before", "1"},
			` takes this back after 10m0s, unless it is confirmed, and at once if the guard "false" fails or more than 7% more is dropped` + "\n",
			"in 10m0s, unless it is confirmed", func() { run(t, 0, "revert") }, false},
		{"confirm: 1\nguard: 'false'\n", []string{"--confirm", "0"}, " takes this back after 1s", "", func() {}, true},
		{"guard-interval: 1\n", nil, "", "", func() {}, true},
	} {
		before := chain(t, v, 2)
		say(c.trial)
		if said := run(t, 2, "plan", "-f", file); strings.Contains(said, "apply") != (c.plan != "") || !strings.Contains(said, c.plan) {
			t.Errorf("%q: plan says:\n%s", c.trial, said)
		}
		if said := run(t, 0, append([]string{"apply", "-f", file}, c.args...)...); !strings.Contains(said, c.says) || strings.Contains(said, "xdpmux revert") != (c.says != "") {
			t.Errorf("%q %q: apply says:\n%s", c.trial, c.args, said)
		}
		changed := status(t, v.Name)
		c.end()
		if !harness.Eventually(func() bool { return nothingPending(t) }) {
			t.Fatalf("%q %q has not ended", c.trial, c.args)
		}
		want := before
		if c.kept {
			want = changed
		}
		if now := status(t, v.Name); !reflect.DeepEqual(now, want) || reflect.DeepEqual(changed, before) {
			t.Errorf("%q %q: it is\n%+v\nwant\n%+v", c.trial, c.args, now, want)
		}
		checkEnded(t, v)
	}

	// Where nothing is to be done, nothing is to be tried. Other programs read the same.
	say("confirm: 600\n")
	if said := run(t, 0, "plan", "-f", file); strings.Contains(said, "apply") {
		t.Errorf("plan says:\n%s", said)
	}
	chain(t, v, 1)
	var plans []struct{ Trial *desired.Trial }
	must(t, json.Unmarshal([]byte(run(t, 2, "plan", "-f", file, "--json")), &plans))
	if len(plans) != 1 || plans[0].Trial == nil || *plans[0].Trial != (desired.Trial{Confirm: 600}) {
		t.Errorf("plan --json: %+v", plans)
	}
	if infos, err := pending.List(); err != nil || len(infos) > 0 {
		t.Errorf("plan has begun a change: %+v, %v", infos, err)
	}
	chain(t, v, 0)
}
