package rehearse

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/rehearse"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestTailCalls has copies call copies: what the running programs share with those that they
// call stays as it is.
func TestTailCalls(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	p := xdp.Program{File: object(harness.Fixture("tailcall")), Priority: xdp.Prio(10)}
	id := attach(t, v.Name, p)[0].ID
	change := rehearse.Change{Transaction: dispatcher.Transaction{Add: []xdp.Program{{File: object(harness.Sample("xdp_drop"))}}}}
	const pass, drop, empty = 0, 1, 3
	packet := func(slot byte) []byte { return append([]byte{slot}, make([]byte, 63)...) }
	before := contents(t, v.Name)
	check := func(name string, told bool) {
		t.Run(name, func(t *testing.T) {
			r := open(t, v.Name, change)
			for slot, want := range map[byte]string{
				pass:  "XDP_PASS by t_entry, XDP_DROP by xdp_drop",
				drop:  "XDP_DROP by t_entry, XDP_DROP by t_entry",
				empty: "XDP_ABORTED by t_entry, XDP_ABORTED by t_entry",
			} {
				if got := say(t, r, packet(slot)); got != want {
					t.Errorf("slot %d: %s, want %s", slot, got, want)
				}
			}
			found := false
			for _, l := range r.Limits {
				if strings.Contains(l.Why, "tail calls") {
					t.Errorf("%s: %s", l.Program.Name, l.Why)
				}
				found = found || strings.HasPrefix(l.Why, "its map calls holds other programs, ")
			}
			if found != told {
				t.Errorf("it tells of other programs: %t, want %t: %+v", found, told, r.Limits)
			}
		})
	}
	check("as declared", false)
	if after := contents(t, v.Name); after != before {
		t.Errorf("the maps held\n%s\nand hold\n%s", before, after)
	}

	// Somebody has taken a program out of the running array.
	for _, mapID := range harness.MapIDs(t, id) {
		fd, err := libbpf.MapByID(mapID)
		must(t, err)
		info, err := libbpf.MapInfoByFD(fd.Int())
		must(t, err)
		if info.Type == libbpf.MapTypeProgArray {
			must(t, libbpf.MapDelete(fd.Int(), binary.NativeEndian.AppendUint32(nil, drop)))
		}
		must(t, fd.Close())
	}
	check("taken out", true)
	must(t, dispatcher.DetachAll(t.Context(), v.Name, dispatcher.DetachOptions{}))
}
