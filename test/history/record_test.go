package history

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/history"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestCommands: each command that changes a chain leaves a record of what was there, what is,
// from which file it came, and who has called it.
func TestCommands(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	v, other := veth(t), veth(t)
	drop, pass := harness.Sample("xdp_drop"), harness.Sample("xdp_pass")
	state := filepath.Join(t.TempDir(), "state.yaml")
	file, err := filepath.Abs(drop)
	must(t, err)
	data, err := os.ReadFile(drop)
	must(t, err)
	sum := sha256.Sum256(data)
	dropSum := hex.EncodeToString(sum[:])
	must(t, os.WriteFile(state, fmt.Appendf(nil, "interfaces:\n- name: %s\n  programs:\n  - {name: filter, object: %s}\n", v.Name, file), 0o600))
	runs := [][]string{
		{"load", v.Name, pass},
		{"load", v.Name, drop + "@prio=10"},
		{"set", v.Name, "--name", "xdp_drop", "-P", "70"},
		{"replace", v.Name, "--name", "xdp_pass", harness.Sample("xdp_count")},
		{"upgrade", v.Name, "--to", "3"},
		{"upgrade", v.Name, "--to", "2"},
		{"apply", "-f", state},
		{"unload", v.Name, "--name", "xdp_drop"},
		{"run", v.Name, harness.Sample("xdp_count"), "-i", "10ms", "-c", "1"},
		{"unload", "-a", v.Name},
	}
	for range 10 {
		runs = append(runs, []string{"load", v.Name, pass})
	}
	runs = append(runs, []string{"unload", "-a", v.Name})
	want := 0
	for _, args := range runs {
		before := running(t, v.Name)
		harness.MustRun(t, ours(), args...)
		want++
		if args[0] == "run" {
			want++ // it loads, and unloads
		}
		all := unbroken(t, v.Name)
		if len(all) != want {
			t.Fatalf("%q: %d records, and not %d", args, len(all), want)
		}
		r := all[len(all)-1]
		if r.Outcome != history.Done || r.Number != want || r.Interface.Index != v.Index || r.User == nil || r.User.UID != 0 || r.User.SudoUser != "" ||
			!slices.Equal(r.Command[1:], args) {
			t.Errorf("%q: %+v", args, r)
		}
		if args[0] != "run" && places(r.Before) != before {
			t.Errorf("%q: before it there was %s, and the record has %s", args, before, places(r.Before))
		}
		for _, p := range r.After.Programs {
			if p.Name == "xdp_drop" && (p.File != file || p.SHA256 != dropSum) || p.SHA256 == "" {
				t.Errorf("%q: %s is from %s, %s", args, p.Name, p.File, p.SHA256)
			}
		}
	}
	// What changes nothing leaves no record, and what is on another interface isn't shown.
	harness.MustRun(t, ours(), "load", other.Name, pass)
	harness.MustRun(t, ours(), "set", other.Name, "--name", "xdp_pass", "-P", "50")
	harness.MustRun(t, ours(), "load", v.Name, pass, "--dry-run")
	if all := unbroken(t, v.Name); len(all) != want {
		t.Errorf("%d records, and not %d", len(all), want)
	}
	if all := records(t, other.Name); len(all) != 1 {
		t.Errorf("%d records of the other interface", len(all))
	}
	if all := records(t); len(all) != want+1 {
		t.Errorf("%d records of all", len(all))
	}
}

// TestSeveral loads on two interfaces at once: one record for each, and where the second
// refuses the first says that it was taken back.
func TestSeveral(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	a, b := veth(t), veth(t)
	harness.MustRun(t, ours(), "load", a.Name+","+b.Name, harness.Sample("xdp_pass"))
	for _, v := range []*harness.Veth{a, b} {
		unbroken(t, v.Name)
	}
	large := harness.NewVeth(t)
	large.SetMTU(t, 9000)
	_, stderr, status := harness.Run(t, ours(), "load", a.Name+","+large.Name, harness.Sample("xdp_drop"))
	if status != 1 {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	all := unbroken(t, a.Name)
	if r := all[len(all)-1]; len(all) != 2 || r.Outcome != history.TakenBack || !strings.Contains(stderr, r.Error) || places(r.Before) != places(r.After) {
		t.Errorf("%+v", r)
	}
	all = unbroken(t, large.Name)
	if len(all) != 1 || all[0].Outcome != history.Failed || all[0].Error == "" {
		t.Errorf("%+v", all)
	}
}

// TestFailed: a change that isn't made leaves a record that says why, and only one if it fails
// again and again.
func TestFailed(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	v := veth(t)
	harness.MustRun(t, ours(), "load", v.Name, harness.Sample("xdp_pass"))
	fails := func(want int, args ...string) {
		t.Helper()
		_, stderr, status := harness.Run(t, ours(), args...)
		all := unbroken(t, v.Name)
		r := all[len(all)-1]
		if status != 1 || len(all) != want || r.Outcome != history.Failed || !strings.HasPrefix(stderr, "xdpmux: "+r.Error+"\n") {
			t.Errorf("%q: exit status %d, %d records, the last one %+v\n%s", args, status, len(all), r, stderr)
		}
	}
	refused := []string{"load", v.Name, harness.Fixture("pinned"), "-s", "xdp/refused"}
	fails(2, refused...)
	fails(2, refused...)
	fails(3, "load", v.Name, "-m", "skb", harness.Sample("xdp_drop"))
	fails(4, "unload", v.Name, "-i", "4294967295")
	// A fault of the call is no change.
	if _, _, status := harness.Run(t, ours(), "load", v.Name); status != 1 || len(records(t)) != 4 {
		t.Errorf("exit status %d, %d records", status, len(records(t)))
	}
}

// TestGivenUp: of a change that is given up when it has begun nothing stays open in a process that goes
// on, neither the maps of the program that was to go nor the change, whether it is told of the end or not.
func TestGivenUp(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	v := veth(t)
	harness.MustRun(t, ours(), "load", v.Name, harness.Sample("xdp_count"), harness.Sample("xdp_pass"))
	before := running(t, v.Name)
	counts := harness.Status(t, v.Name).Programs[0]
	for want, ends := range []func(*history.Recorder, error){
		func(r *history.Recorder, err error) { r.End(err, v.Name) },
		func(r *history.Recorder, _ error) { r.Close() },
	} {
		opened, err := harness.TakeState()
		must(t, err)
		recorder := history.NewRecorder(history.Options{Dir: "/var/lib/xdpmux/history"})
		ctx, cancel := context.WithCancel(t.Context())
		var unlock func()
		_, err = dispatcher.Transaction{
			Remove: []uint32{counts.ID},
			Changing: func(*dispatcher.Changing) error { // another process has the pins, and the change is called off
				unlock = harness.LockPins(t)
				cancel()
				return nil
			},
		}.Commit(recorder.Context(ctx), v.Name)
		unlock()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("the change: %v", err)
		}
		ends(recorder, err)
		all := unbroken(t, v.Name)
		if r := all[len(all)-1]; len(all) != want+2 || r.Outcome != history.Failed || places(r.Before) != before {
			t.Errorf("%d records, the last one %+v", len(all), r)
		}
		opened.Check(t)
	}
}

// TestUser: sudo's word is written down.
func TestUser(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	v := veth(t)
	harness.MustRun(t, "env", "SUDO_USER=alice", ours(), "load", v.Name, harness.Sample("xdp_pass"))
	all := records(t)
	if len(all) != 1 || all[0].User.SudoUser != "alice" {
		t.Errorf("%+v", all)
	}
	if text := harness.MustRun(t, ours(), "history", v.Name); !strings.Contains(text, "by root (sudo: alice)\n") || !strings.Contains(text, "\n  + ") {
		t.Error(text)
	}
}
