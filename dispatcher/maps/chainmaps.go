package maps

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"syscall"

	"github.com/xdpmux/xdpmux/dispatcher"
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
