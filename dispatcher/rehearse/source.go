package rehearse

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// source is what a program of a copied chain is made from.
type source struct {
	xdp.Program
	shown   xdp.Loaded // what to call it: the program that runs, or that would be loaded
	runs    bool       // the program runs: the copy has to have its tag
	maps    uint32     // the running program whose maps it begins with; 0: none
	changes bool       // its constants are its object's, and not that program's
	fresh   bool       // all its maps are new ones, also those that are pinned on this machine
}

// sourcesOf are the sources of the programs that run.
func (c Change) sourcesOf(ctx context.Context, chain *dispatcher.Chain) ([]source, error) {
	programs := chain.Programs
	if chain.Legacy != nil {
		programs = []dispatcher.Component{{Loaded: *chain.Legacy}}
	}
	var all []source
	var unknown []error
	for _, p := range programs {
		if p.ID == 0 {
			continue // gone: packets skip its slot
		}
		from, err := c.loadedFrom(ctx, p.Loaded)
		if err != nil {
			unknown = append(unknown, err)
			continue
		}
		from.PinPath, from.Contents = "", nil // its maps are known by their ids
		from.Priority, from.Actions, from.Frags = &p.Priority, &p.Actions, &p.Frags
		all = append(all, source{Program: *from, shown: p.Loaded, runs: true, maps: p.ID})
	}
	return all, errors.Join(unknown...)
}

// loadedFrom finds what a program was loaded from.
func (c Change) loadedFrom(ctx context.Context, p xdp.Loaded) (*xdp.Program, error) {
	recorded, said := desired.Source(ctx, p)
	if said == nil {
		if said = isLoadedFrom(p, recorded); said == nil {
			return &recorded, nil
		}
	}
	for _, from := range c.candidates(p) {
		from.Section, from.Name = "", p.Name
		if isLoadedFrom(p, from) == nil {
			return &from, nil
		}
	}
	switch {
	case errors.Is(said, xdp.ErrNotSource):
		return nil, &xdp.Error{Kind: xdp.ErrObject, Err: said,
			Msg:    fmt.Sprintf("nobody knows what %v was loaded from, so it can't be copied", p),
			Remedy: "another tool has loaded it, or a program from memory: load it anew from a file, with xdpmux"}
	case errors.Is(said, xdp.ErrObject):
		return nil, cantCopy(p, said.Error(), said)
	}
	return nil, said
}

// candidates are other objects that a program may have been loaded from.
func (c Change) candidates(p xdp.Loaded) (all []xdp.Program) {
	if from, ok := c.LoadedFrom[p.ID]; ok {
		all = append(all, from)
	}
	for _, r := range c.Replace {
		all = append(all, r.Program)
	}
	return append(all, c.Add...)
}

func cantCopy(p xdp.Loaded, why string, err error) error {
	if known := (*xdp.Error)(nil); errors.As(err, &known) && known.Remedy == putBack {
		return err
	}
	return &xdp.Error{Kind: xdp.ErrObject, Err: err, Msg: fmt.Sprintf("%v can't be copied: %s", p, why), Remedy: putBack}
}

const putBack = "put the file back that it was loaded from, or load it anew"

// isLoadedFrom returns an error unless the object makes a program with the tag of p.
func isLoadedFrom(p xdp.Loaded, from xdp.Program) error {
	from.PinPath, from.Contents = "", nil
	s, err := object.NewSpecimen(from, 0)
	if err != nil {
		return cantCopy(p, err.Error(), err)
	}
	defer s.Close()
	if s.Tag != p.Tag {
		return cantCopy(p, fmt.Sprintf("%s has changed since it was loaded from it, and makes a program with tag %s instead of %s", from.File, s.Tag, p.Tag), nil)
	}
	return nil
}

// sourcesAfter are the sources of the programs of the chain to be. before are those of the
// programs that run.
func (c Change) sourcesAfter(preview *dispatcher.Preview, before []source) ([]source, error) {
	var all []source
	for _, p := range preview.Programs {
		s, err := c.sourceAfter(p, before)
		if err != nil {
			return nil, err
		}
		s.Priority, s.Actions, s.Frags = &p.Priority, &p.Actions, &p.Frags
		all = append(all, s)
	}
	return all, nil
}

func (c Change) sourceAfter(p dispatcher.PreviewedProgram, before []source) (source, error) {
	if p.ID != 0 {
		for _, s := range before {
			if s.shown.ID == p.ID {
				return s, nil
			}
		}
		return source{}, &xdp.Error{Kind: xdp.ErrBusy, Msg: "the chain was changed while it was read", Remedy: "try again"}
	}
	s := source{Program: *p.Program, shown: xdp.Loaded{Name: p.Name}}
	s.Section, s.Name = "", p.Name
	if p.GoesOn {
		s.maps = p.Old
	}
	for _, r := range c.Replace {
		if r.KeepMaps && r.ID == p.Old {
			s.maps, s.changes = p.Old, true
		}
	}
	return s, nil
}

// file is what to call the object.
func (s source) file() string {
	if strings.TrimSpace(s.File) == "" {
		return "memory"
	}
	return s.File
}
