package dispatcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// ChainMap is a map that programs of a chain use.
type ChainMap struct {
	MapInfo
	Programs []Loaded `json:"programs"` // in the order they run
}

// ChainMaps lists the maps of the programs on an interface: those of a chain, of a
// legacy and of an offloaded program, by their ids. Errors: those of [Status].
func ChainMaps(ctx context.Context, ifname string) ([]ChainMap, error) {
	chain, err := Status(ctx, ifname)
	if err != nil {
		return nil, err
	}
	programs := []Loaded{}
	for _, p := range chain.Programs {
		programs = append(programs, p.Loaded)
	}
	for _, p := range []*Loaded{chain.Legacy, chain.Hardware} {
		if p != nil {
			programs = append(programs, *p)
		}
	}
	maps := []ChainMap{}
	for _, p := range programs {
		used, err := mapsOfID(p.ID)
		if errors.Is(err, syscall.ENOENT) {
			continue // gone since the query
		}
		if err != nil {
			return nil, explainPermission(err)
		}
		for _, u := range used {
			at := slices.IndexFunc(maps, func(m ChainMap) bool { return m.ID == u.ID })
			if at >= 0 {
				maps[at].Programs = append(maps[at].Programs, p)
				continue
			}
			m, err := OpenMapID(u.ID)
			if errors.Is(err, ErrNoMap) {
				continue
			}
			if err != nil {
				return nil, err
			}
			m.Name = u.fullName()
			maps = append(maps, ChainMap{MapInfo: m.MapInfo, Programs: []Loaded{p}})
			m.Close()
		}
	}
	slices.SortFunc(maps, func(a, b ChainMap) int { return cmp.Compare(a.ID, b.ID) })
	return maps, nil
}

// ChooseMap picks a map of an interface's programs by its name, or by its id with
// an empty name. Errors: [ErrNoMap], which lists the maps there are, and
// [ErrInvalid] if several have the name.
func ChooseMap(maps []ChainMap, ifname, name string, id uint32) (*ChainMap, error) {
	var there []string
	var found, exact []*ChainMap
	for i, m := range maps {
		there = append(there, fmt.Sprintf("%s (id %d)", m.Name, m.ID))
		// Either name may be as the kernel has cut it.
		cut := len(m.Name) <= maxKernelName || len(name) <= maxKernelName
		switch {
		case name == "" && m.ID == id, name != "" && m.Name == name:
			exact = append(exact, &maps[i])
		case name != "" && cut && shortName(m.Name) == shortName(name):
			found = append(found, &maps[i])
		}
	}
	if len(exact) > 0 {
		found = exact
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		var ids []string
		for _, m := range found {
			ids = append(ids, fmt.Sprintf("%d (of %s)", m.ID, m.Programs[0].Name))
		}
		return nil, &Error{Kind: ErrInvalid,
			Msg:    fmt.Sprintf("%d maps on %s have the name %q", len(found), ifname, name),
			Remedy: "choose one with --id: " + strings.Join(ids, ", ")}
	case name == "":
		return nil, noMap(fmt.Sprintf("no program on %s uses a map with id %d", ifname, id), there)
	}
	return nil, noMap(fmt.Sprintf("no program on %s uses a map %q", ifname, name), there)
}
