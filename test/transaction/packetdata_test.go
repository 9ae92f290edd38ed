package transaction

import (
	"bytes"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/test/kernel"
)

// TestMoveHead has a program that changes packet data join a chain, where libxdp's
// dispatcher can host it and where only xdpmux's own can.
func TestMoveHead(t *testing.T) {
	kernel.NoLeak(t)
	v := kernel.NewVeth(t)
	move := fixture("movehead", "")
	kernel.MustRun(t, native, "load", v.Name, fixture("verdicts", "").File, "-n", "v_pass")
	kernel.MustRun(t, kernel.Xdpmux(), "load", v.Name, move.File)
	if got := strings.Join(names(status(t, v.Name)), " "); got != "move_head v_pass" {
		t.Fatalf("chain: %s", got)
	}
	bothShow(t, v.Name)
	checkPins(t, v)
	sent := kernel.UDP4(kernel.Flow{PayloadLen: 64})
	if got := v.Deliver(t, sent); len(got) != 1 || !bytes.Equal(got[0], sent[4:]) {
		t.Errorf("%d frames, want one without its first four bytes", len(got))
	}

	// What moves the head can stay while others come and go, and be alone.
	loaded := status(t, v.Name).Programs
	commit(t, v.Name, dispatcher.Transaction{Mode: dispatcher.ModeUnspecified, Set: []dispatcher.Setting{{ID: loaded[1].ID, Priority: prio(1)}}})
	commit(t, v.Name, dispatcher.Transaction{Mode: dispatcher.ModeUnspecified, Remove: []uint32{loaded[1].ID}})
	bothShow(t, v.Name)
	if got := v.Deliver(t, sent); len(got) != 1 || len(got[0]) != len(sent)-4 {
		t.Errorf("%d frames, want one without its first four bytes", len(got))
	}

	// A native tool joins that chain, or fails and leaves it.
	before := status(t, v.Name)
	_, stderr, exit := kernel.Run(t, native, "load", v.Name, fixture("verdicts", "").File, "-n", "v_pass")
	after := status(t, v.Name)
	switch {
	case exit == 0 && len(after.Programs) == 2:
	case exit != 0 && after.Dispatcher.ID == before.Dispatcher.ID && stderr != "":
		t.Logf("%s could not join: %s", native, strings.TrimSpace(stderr))
	default:
		t.Errorf("%s load: exit status %d, chain %+v, before %+v", native, exit, after, before)
	}
	checkPins(t, v)
	kernel.MustRun(t, native, "unload", v.Name, "-a")
	checkPins(t, v)
}
