package main

import (
	"errors"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func TestChooseMap(t *testing.T) {
	counter := func(id uint32, program string) maps.Used {
		return maps.Used{Info: maps.Info{ID: id, Name: "rxcnt"}, Programs: []xdp.Loaded{{Name: program}}}
	}
	all := []maps.Used{counter(3, "a"), counter(5, "b"), {Info: maps.Info{ID: 7, Name: "a_name_of_15_ch"}}}
	tracks := []maps.Used{{Info: maps.Info{ID: 8, Name: "connection_track4"}, Programs: []xdp.Loaded{{Name: "a"}}},
		{Info: maps.Info{ID: 9, Name: "connection_track6"}, Programs: []xdp.Loaded{{Name: "a"}}}}
	for _, c := range []struct {
		maps        []maps.Used
		name        string
		id          uint32
		want        uint32
		err, remedy string
		kind        error
	}{
		{maps: all, id: 5, want: 5},
		{maps: all, name: "a_name_of_15_ch", want: 7},
		{maps: all, name: "a_name_of_15_characters_and_more", want: 7}, // as in the source
		{maps: all, name: "rxcnt", kind: xdp.ErrInvalid, err: `2 maps on eth0 have the name "rxcnt"`, remedy: "choose one with --id: 3 (of a), 5 (of b)"},
		{maps: all, name: "tx", kind: xdp.ErrNoMap, err: `no program on eth0 uses a map "tx"`, remedy: "its maps: rxcnt (id 3), rxcnt (id 5), a_name_of_15_ch (id 7)"},
		{maps: all, id: 4, kind: xdp.ErrNoMap, err: "no program on eth0 uses a map with id 4", remedy: "its maps: rxcnt (id 3), rxcnt (id 5), a_name_of_15_ch (id 7)"},
		{name: "tx", kind: xdp.ErrNoMap, err: `no program on eth0 uses a map "tx"`, remedy: "there is no map at all"},
		{maps: tracks, name: "connection_track6", want: 9},
		{maps: tracks[1:], name: "connection_trac", want: 9}, // as the kernel has it
		{maps: tracks, name: "connection_trac", kind: xdp.ErrInvalid, err: `2 maps on eth0 have the name "connection_trac"`, remedy: "choose one with --id: 8 (of a), 9 (of a)"},
		{maps: tracks[:1], name: "connection_track6", kind: xdp.ErrNoMap, err: `no program on eth0 uses a map "connection_track6"`, remedy: "its maps: connection_track4 (id 8)"},
	} {
		got, err := chooseMap(c.maps, "eth0", c.name, c.id)
		if c.err == "" {
			if err != nil || got.ID != c.want {
				t.Errorf("%q %d: %+v, %v, want map %d", c.name, c.id, got, err, c.want)
			}
			continue
		}
		var e *xdp.Error
		if !errors.As(err, &e) || e.Msg != c.err || e.Remedy != c.remedy || e.Kind != c.kind {
			t.Errorf("%q %d: %+v, want %s (%s)", c.name, c.id, err, c.err, c.remedy)
		}
	}
}
