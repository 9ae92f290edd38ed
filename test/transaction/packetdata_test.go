package transaction

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestMoveHead has a program that changes packet data join a chain, where libxdp's
// dispatcher can host it and where only xdpmux's own can.
func TestMoveHead(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	move := fixture("movehead", "")
	harness.MustRun(t, native, "load", v.Name, fixture("verdicts", "").File, "-n", "v_pass")
	harness.MustRun(t, harness.Xdpmux(), "load", v.Name, move.File)
	if got := strings.Join(names(status(t, v.Name)), " "); got != "move_head v_pass" {
		t.Fatalf("chain: %s", got)
	}
	bothShow(t, v.Name)
	checkPins(t, v)
	sent := harness.UDP4(harness.Flow{PayloadLen: 64})
	if got := v.Deliver(t, sent); len(got) != 1 || !bytes.Equal(got[0], sent[4:]) {
		t.Errorf("%d frames, want one without its first four bytes", len(got))
	}

	// What moves the head can stay while others come and go, and be alone.
	loaded := status(t, v.Name).Programs
	commit(t, v.Name, dispatcher.Transaction{Mode: xdp.ModeUnspecified, Set: []dispatcher.Setting{{ID: loaded[1].ID, Priority: prio(1)}}})
	commit(t, v.Name, dispatcher.Transaction{Mode: xdp.ModeUnspecified, Remove: []uint32{loaded[1].ID}})
	bothShow(t, v.Name)
	if got := v.Deliver(t, sent); len(got) != 1 || len(got[0]) != len(sent)-4 {
		t.Errorf("%d frames, want one without its first four bytes", len(got))
	}

	// A native tool joins that chain, or fails and leaves it.
	before := status(t, v.Name)
	_, stderr, exit := harness.Run(t, native, "load", v.Name, fixture("verdicts", "").File, "-n", "v_pass")
	after := status(t, v.Name)
	switch {
	case exit == 0 && len(after.Programs) == 2:
	case exit != 0 && after.Dispatcher.ID == before.Dispatcher.ID && stderr != "":
		t.Logf("%s could not join: %s", native, strings.TrimSpace(stderr))
	default:
		t.Errorf("%s load: exit status %d, chain %+v, before %+v", native, exit, after, before)
	}
	checkPins(t, v)
	harness.MustRun(t, native, "unload", v.Name, "-a")
	harness.MustRun(t, harness.Xdpmux(), "clean") // what native tools don't know
	checkPins(t, v)
}

// TestNativeLock loads a program after which native tools can change nothing, with some kernels
// and versions of their libxdp. load says so before, and status and check afterwards.
func TestNativeLock(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	move, pass := fixture("movehead", "").File, fixture("verdicts", "").File

	// The native tools themselves show whether it is so here.
	harness.MustRun(t, harness.Xdpmux(), "load", v.Name, move)
	_, _, exit := harness.Run(t, native, "load", v.Name, pass, "-n", "v_pass")
	locks := exit != 0
	harness.MustRun(t, harness.Xdpmux(), "unload", v.Name, "-a")
	t.Logf("native tools are locked out: %t", locks)

	harness.MustRun(t, harness.Xdpmux(), "load", v.Name, pass, "-n", "v_pass")
	told := func(want bool, text string, args ...string) {
		t.Helper()
		stdout, stderr, exit := harness.Run(t, harness.Xdpmux(), args...)
		if got := strings.Contains(stdout+stderr, text); got != want {
			t.Errorf("%q: exit status %d, %q there: %t, want %t\n%s%s", args, exit, text, got, want, stdout, stderr)
		}
	}
	const note, warning = "note: tools of libxdp before 1.5.5 can't change the chain", "can't change the chain on "
	told(false, note, "status", v.Name)

	before := harness.Snapshot(t)
	stdout, stderr, exit := harness.Run(t, harness.Xdpmux(), "load", "--native-compatible", v.Name, move)
	if locks {
		if exit != 1 || !strings.HasPrefix(stderr, "xdpmux: tools of libxdp ") || !strings.Contains(stderr, warning) {
			t.Errorf("exit status %d\n%s%s", exit, stdout, stderr)
		}
		before.Check(t)
	} else if exit != 0 {
		t.Errorf("exit status %d\n%s%s", exit, stdout, stderr)
	} else {
		harness.MustRun(t, native, "unload", v.Name, "-i", fmt.Sprint(status(t, v.Name).Programs[0].ID))
	}

	told(locks, "warning: tools of libxdp", "load", v.Name, move)
	if got := strings.Join(names(status(t, v.Name)), " "); got != "move_head v_pass" {
		t.Fatalf("chain: %s", got)
	}
	told(locks, note, "status", v.Name)
	told(locks, `"native_locked": true`, "status", "--json", v.Name)
	told(locks, "which tools of libxdp before 1.5.5 can't change", "check", v.Name)
	bothShow(t, v.Name)
	// It has been said once.
	told(false, "warning", "load", v.Name, pass, "-n", "v_tx")
	told(false, "warning", "set", v.Name, "-n", "v_tx", "-P", "60")
	if got := status(t, v.Name); got.NativeLocked != locks {
		t.Errorf("%+v", got)
	}

	// Without the program all is as before.
	harness.MustRun(t, harness.Xdpmux(), "unload", v.Name, "-i", fmt.Sprint(status(t, v.Name).Programs[0].ID))
	told(false, note, "status", v.Name)
	harness.MustRun(t, native, "load", v.Name, pass, "-n", "v_pass")
	told(locks, "warning: tools of libxdp", "replace", v.Name, "--name", "v_tx", move)
	harness.MustRun(t, harness.Xdpmux(), "unload", v.Name, "-a")
	checkPins(t, v)
}
