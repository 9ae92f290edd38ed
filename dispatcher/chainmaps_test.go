package dispatcher

import (
	"errors"
	"testing"
)

func TestChooseMap(t *testing.T) {
	counter := func(id uint32, program string) ChainMap {
		return ChainMap{MapInfo: MapInfo{ID: id, Name: "rxcnt"}, Programs: []Loaded{{Name: program}}}
	}
	maps := []ChainMap{counter(3, "a"), counter(5, "b"), {MapInfo: MapInfo{ID: 7, Name: "a_name_of_15_ch"}}}
	tracks := []ChainMap{{MapInfo: MapInfo{ID: 8, Name: "connection_track4"}, Programs: []Loaded{{Name: "a"}}},
		{MapInfo: MapInfo{ID: 9, Name: "connection_track6"}, Programs: []Loaded{{Name: "a"}}}}
	for _, c := range []struct {
		maps        []ChainMap
		name        string
		id          uint32
		want        uint32
		err, remedy string
		kind        error
	}{
		{maps: maps, id: 5, want: 5},
		{maps: maps, name: "a_name_of_15_ch", want: 7},
		{maps: maps, name: "a_name_of_15_characters_and_more", want: 7}, // as in the source
		{maps: maps, name: "rxcnt", kind: ErrInvalid, err: `2 maps on eth0 have the name "rxcnt"`, remedy: "choose one with --id: 3 (of a), 5 (of b)"},
		{maps: maps, name: "tx", kind: ErrNoMap, err: `no program on eth0 uses a map "tx"`, remedy: "its maps: rxcnt (id 3), rxcnt (id 5), a_name_of_15_ch (id 7)"},
		{maps: maps, id: 4, kind: ErrNoMap, err: "no program on eth0 uses a map with id 4", remedy: "its maps: rxcnt (id 3), rxcnt (id 5), a_name_of_15_ch (id 7)"},
		{name: "tx", kind: ErrNoMap, err: `no program on eth0 uses a map "tx"`, remedy: "there is no map at all"},
		{maps: tracks, name: "connection_track6", want: 9},
		{maps: tracks[1:], name: "connection_trac", want: 9}, // as the kernel has it
		{maps: tracks, name: "connection_trac", kind: ErrInvalid, err: `2 maps on eth0 have the name "connection_trac"`, remedy: "choose one with --id: 8 (of a), 9 (of a)"},
		{maps: tracks[:1], name: "connection_track6", kind: ErrNoMap, err: `no program on eth0 uses a map "connection_track6"`, remedy: "its maps: connection_track4 (id 8)"},
	} {
		got, err := ChooseMap(c.maps, "eth0", c.name, c.id)
		if c.err == "" {
			if err != nil || got.ID != c.want {
				t.Errorf("%q %d: %+v, %v, want map %d", c.name, c.id, got, err, c.want)
			}
			continue
		}
		var e *Error
		if !errors.As(err, &e) || e.Msg != c.err || e.Remedy != c.remedy || e.Kind != c.kind {
			t.Errorf("%q %d: %+v, want %s (%s)", c.name, c.id, err, c.err, c.remedy)
		}
	}
}
