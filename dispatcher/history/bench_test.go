package history

import (
	"fmt"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// BenchmarkMany records a load on many interfaces and an unload after that, by an own Recorder each, as two commands do.
func BenchmarkMany(b *testing.B) {
	const n = 200
	command := []string{"xdpmux", "load", ""}
	for i := range n {
		command[2] += fmt.Sprintf("m%d,", i)
	}
	var programs []dispatcher.Component
	sources := map[uint32]xdp.Program{}
	for i, name := range []string{"xdp_count", "xdp_drop_ipv6", "xdp_pass"} {
		id := uint32(8 + 2*i)
		programs = append(programs, dispatcher.Component{Loaded: xdp.Loaded{ID: id, Name: name, Tag: "8b87438288e11ed4"}, Priority: 5})
		sources[id] = xdp.Program{File: "/repo/build/bpf/" + name + ".o", Data: make([]byte, 5000+i)}
	}
	mode := xdp.ModeNative
	dir := b.TempDir() + "/history"
	for b.Loop() {
		for _, loads := range []bool{true, false} {
			r := NewRecorder(Options{Dir: dir, Command: command})
			for i := range n {
				iface := xdp.Interface{Name: fmt.Sprint("m", i), Index: 3 + i}
				chain := &dispatcher.Chain{Interface: iface, Mode: &mode, Version: 2, Dispatcher: &xdp.Loaded{ID: uint32(100 + i)}, Programs: programs}
				before, after := &dispatcher.Chain{Interface: iface}, chain
				comes := sources
				if !loads {
					before, after, comes = after, before, nil
				}
				c := r.newChange(iface)
				r.begun[iface.Index] = c
				r.keep(comes)
				if err := r.begin(b.Context(), c, before, after); err != nil {
					b.Fatal(err)
				}
				c.made, c.After = true, chainOf(after, c.source)
			}
			var names []string
			for i := range n {
				names = append(names, fmt.Sprint("m", i))
			}
			r.End(nil, names...)
		}
	}
}
