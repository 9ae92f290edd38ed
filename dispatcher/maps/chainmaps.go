package maps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Used is a map that programs of a chain use.
type Used struct {
	Info
	Programs []xdp.Loaded `json:"programs"` // in the order they run
}

// OfChain lists the maps that the programs on an interface use, by the maps' ids: the component
// programs of a chain, a legacy program, an offloaded one. Errors: those of [dispatcher.Status].
func OfChain(ctx context.Context, ifname string) ([]Used, error) {
	chain, err := dispatcher.Status(ctx, ifname)
	if err != nil {
		return nil, err
	}
	programs := []xdp.Loaded{}
	for _, p := range chain.Programs {
		programs = append(programs, p.Loaded)
	}
	for _, p := range []*xdp.Loaded{chain.Legacy, chain.Hardware} {
		if p != nil {
			programs = append(programs, *p)
		}
	}
	maps := []Used{}
	for _, p := range programs {
		used, err := object.MapsOfID(p.ID)
		if errors.Is(err, syscall.ENOENT) {
			continue // gone since the query
		}
		if err != nil {
			return nil, privilege.Explain(err)
		}
		for _, u := range used {
			at := slices.IndexFunc(maps, func(m Used) bool { return m.ID == u.ID })
			if at >= 0 {
				maps[at].Programs = append(maps[at].Programs, p)
				continue
			}
			m, err := OpenID(u.ID)
			if errors.Is(err, xdp.ErrNoMap) {
				continue
			}
			if err != nil {
				return nil, err
			}
			m.Name = u.FullName()
			maps = append(maps, Used{Info: m.Info, Programs: []xdp.Loaded{p}})
			m.Close()
		}
	}
	slices.SortFunc(maps, func(a, b Used) int { return cmp.Compare(a.ID, b.ID) })
	return maps, nil
}

// Choose picks a map of an interface's programs by its name, or by its id if the name is empty.
// Errors: [xdp.ErrNoMap], which lists the maps there are; [xdp.ErrInvalid] if several have the
// name.
func Choose(maps []Used, ifname, name string, id uint32) (*Used, error) {
	var there []string
	var found, exact []*Used
	for i, m := range maps {
		there = append(there, fmt.Sprintf("%s (id %d)", m.Name, m.ID))
		// Either name may be as the kernel has cut it.
		cut := len(m.Name) <= loaded.MaxName || len(name) <= loaded.MaxName
		switch {
		case name == "" && m.ID == id, name != "" && m.Name == name:
			exact = append(exact, &maps[i])
		case name != "" && cut && loaded.ShortName(m.Name) == loaded.ShortName(name):
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
		return nil, &xdp.Error{Kind: xdp.ErrInvalid,
			Msg:    fmt.Sprintf("%d maps on %s have the name %q", len(found), ifname, name),
			Remedy: "choose one with --id: " + strings.Join(ids, ", ")}
	case name == "":
		return nil, noMap(fmt.Sprintf("no program on %s uses a map with id %d", ifname, id), there)
	}
	return nil, noMap(fmt.Sprintf("no program on %s uses a map %q", ifname, name), there)
}
