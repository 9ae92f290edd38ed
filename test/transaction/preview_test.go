package transaction

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// programsOf is what a preview and the chain that came of it have in common.
func programsOf(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var programs []struct {
		Name     string
		Priority uint32
		Actions  []string
		Frags    bool
	}
	if err := json.Unmarshal(data, &programs); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%+v", programs)
}

// TestPreview: a preview changes nothing and leaves nothing behind. The change then makes of the
// chain what the preview has told.
func TestPreview(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	pass, drop, frags := fixture("verdicts", "v_pass"), fixture("verdicts", "v_drop"), fixture("verdicts", "v_pass_frags")
	pinned := fixture("pinned", "good")
	pinned.PinPath = "/sys/fs/bpf/previewed" // only a load makes it
	first := pass
	first.Priority = xdp.Prio(3)
	ids := func(i int) uint32 { return status(t, v.Name).Programs[i].ID }
	for _, c := range []struct {
		name string
		tx   func() dispatcher.Transaction
	}{
		{"the first", func() dispatcher.Transaction { return dispatcher.Transaction{Add: []xdp.Program{frags}} }},
		{"two more", func() dispatcher.Transaction { return dispatcher.Transaction{Add: []xdp.Program{drop, first}} }},
		{"all at once", func() dispatcher.Transaction {
			return dispatcher.Transaction{Mode: xdp.ModeUnspecified, Add: []xdp.Program{pass}, Remove: []uint32{ids(1)},
				Replace: []dispatcher.Replacement{{ID: ids(0), Program: fixture("flood", "guard")}},
				Set:     []dispatcher.Setting{{ID: ids(2), Priority: xdp.Prio(1), Actions: actions(xdp.TX)}}}
		}},
		{"maps kept", func() dispatcher.Transaction {
			for i, p := range status(t, v.Name).Programs {
				if p.Name == "guard" {
					return dispatcher.Transaction{Mode: xdp.ModeUnspecified, Replace: []dispatcher.Replacement{{ID: ids(i), Program: fixture("flood", "guard"), KeepMaps: true}}}
				}
			}
			panic("no guard")
		}},
		{"nothing", func() dispatcher.Transaction { return dispatcher.Transaction{} }},
		{"empty", func() dispatcher.Transaction {
			return dispatcher.Transaction{Mode: xdp.ModeUnspecified, Remove: []uint32{ids(0), ids(1), ids(2)}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tx := c.tx()
			before := harness.Snapshot(t)
			chain := status(t, v.Name)
			preview, err := tx.Preview(t.Context(), v.Name)
			if err != nil {
				t.Fatal(err)
			}
			before.Check(t)
			if diff := cmp.Diff(chain, status(t, v.Name)); diff != "" {
				t.Errorf("the chain has changed (-before +after):\n%s", diff)
			}
			done := commit(t, v.Name, tx)
			if got, want := programsOf(t, preview.Programs), programsOf(t, done.Chain.Programs); got != want {
				t.Errorf("told:  %s\ncame: %s", got, want)
			}
			for i, p := range preview.Programs {
				if (p.ID == 0) != (p.File != "") || p.ID != 0 && p.ID != done.Chain.Programs[i].ID {
					t.Errorf("told %+v, came %+v", p, done.Chain.Programs[i])
				}
			}
			if preview.Changed != done.Changed || preview.Frags != done.Chain.Frags || (preview.Mode == nil) != (done.Chain.Mode == nil) {
				t.Errorf("told %+v, came %+v", preview, done.Chain)
			}
		})
	}

	before := harness.Snapshot(t)
	if _, err := (dispatcher.Transaction{Add: []xdp.Program{pinned}}).Preview(t.Context(), v.Name); err != nil {
		t.Error(err)
	}
	before.Check(t)
	for _, c := range []struct {
		name string
		err  func() error
		kind error
	}{
		{"nothing to unload", func() error { _, err := dispatcher.PreviewDetachAll(t.Context(), v.Name); return err }, xdp.ErrNoProgram},
		{"no such id", func() error { _, err := dispatcher.PreviewDetach(t.Context(), v.Name, 999999); return err }, xdp.ErrNoProgram},
		{"a map without a size", func() error {
			_, err := dispatcher.Transaction{Add: []xdp.Program{fixture("unsized", "")}}.Preview(t.Context(), v.Name)
			return err
		}, xdp.ErrMapSize},
		{"one interface twice", func() error {
			_, err := dispatcher.PreviewAttach(t.Context(), []string{v.Name, v.Name}, []xdp.Program{pass}, dispatcher.AttachOptions{})
			return err
		}, xdp.ErrInvalid},
	} {
		if err := c.err(); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v, want %v", c.name, err, c.kind)
		}
	}
	before.Check(t)

	link, err := libbpf.LinkCreate(harness.Program(t, harness.Pass), v.Index, libbpf.AttachXDP, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	if _, err := dispatcher.PreviewDetachAll(t.Context(), v.Name); !errors.Is(err, xdp.ErrLinkHeld) {
		t.Errorf("a bpf_link's: %v", err)
	}
}

// TestDryRun: every command that changes chains tells what it would make of them.
func TestDryRun(t *testing.T) {
	harness.NoLeak(t)
	v, other := harness.NewVeth(t), harness.NewVeth(t)
	object := harness.Fixture("verdicts")
	id := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("verdicts", "v_pass")}}).Added[0].ID
	before := harness.Snapshot(t)
	same := status(t, v.Name)
	for _, c := range []struct {
		args []string
		want string // "priority name actions", of each program
	}{
		{[]string{"load", v.Name, object, "-n", "v_drop", "-P", "9"}, "9 v_drop XDP_PASS; 50 v_pass XDP_PASS"},
		{[]string{"load", v.Name + "," + other.Name, object + "@name=v_drop,prio=70"}, "50 v_pass XDP_PASS; 70 v_drop XDP_PASS | 70 v_drop XDP_PASS"},
		{[]string{"replace", v.Name, "--name", "v_pass", object, "-n", "v_drop"}, "50 v_drop XDP_PASS"},
		{[]string{"set", v.Name, "-i", fmt.Sprint(id), "-P", "1", "-A", "XDP_DROP"}, "1 v_pass XDP_DROP"},
		{[]string{"unload", v.Name, "-i", fmt.Sprint(id)}, ""},
		{[]string{"unload", v.Name, "-a"}, ""},
	} {
		t.Run(c.args[0], func(t *testing.T) {
			args := append(c.args, "--dry-run")
			table := harness.MustRun(t, harness.Xdpmux(), args...)
			var previews []dispatcher.Preview
			if err := json.Unmarshal([]byte(harness.MustRun(t, harness.Xdpmux(), append(args, "--json")...)), &previews); err != nil {
				t.Fatal(err)
			}
			var chains []string
			for _, p := range previews {
				var programs []string
				for _, prog := range p.Programs {
					programs = append(programs, fmt.Sprintf("%d %s %s", prog.Priority, prog.Name, prog.Actions))
					shown := fmt.Sprint(prog.ID)
					if prog.ID == 0 {
						shown = "new"
					}
					if row := fmt.Sprintf(" =>              %-5d  %-16s          %-4s ", prog.Priority, prog.Name, shown); !strings.Contains(table, row) {
						t.Errorf("no row %q in\n%s", row, table)
					}
				}
				chains = append(chains, strings.Join(programs, "; "))
				if !p.Changed || !strings.Contains(table, "\n"+p.Interface.Name+" ") {
					t.Errorf("%+v\n%s", p, table)
				}
			}
			if got := strings.Join(chains, " | "); got != c.want {
				t.Errorf("told %q, want %q", got, c.want)
			}
			before.Check(t)
			if diff := cmp.Diff(same, status(t, v.Name)); diff != "" {
				t.Errorf("the chain has changed (-before +after):\n%s", diff)
			}
		})
	}
	if _, stderr, exit := harness.Run(t, harness.Xdpmux(), "set", v.Name, "-i", fmt.Sprint(id), "-P", "1", "--json"); exit != 1 || !strings.Contains(stderr, "--json is for what --dry-run prints") {
		t.Errorf("exit status %d\n%s", exit, stderr)
	}
	unload(t, v.Name)
}
