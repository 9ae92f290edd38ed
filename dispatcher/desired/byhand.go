package desired

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/private"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Record keeps what programs are loaded from that no state has asked for. So [Export] can
// write them down, and an apply knows them again. Use it as BeforeSwap of
// [dispatcher.Transaction] and [dispatcher.AttachOptions]. If a program replaces one that
// Apply has put there, it gets that one's name in the records, and belongs to the state.
func Record(coming []dispatcher.Coming) error { return recordByHand(defaultRecords, coming) }

func recordByHand(r records, coming []dispatcher.Coming) error {
	if err := private.MakeDir(string(r)); err != nil {
		return err
	}
	for _, c := range coming {
		fromMemory := slices.ContainsFunc(c.Program.TailCalls, func(t xdp.TailCall) bool { return t.File == "" && t.Data != nil })
		if c.Program.File == "" || fromMemory || len(c.Program.UseMaps) > 0 {
			continue // no state file can name what it is loaded from
		}
		p, digest, err := entryOf(c)
		if err != nil {
			return err
		}
		var old *record
		if c.Old != 0 {
			if old, err = r.readByID(c.Old); err != nil {
				return err
			}
		}
		rec := record{ID: c.ID, Tag: c.Tag, LoadTime: c.LoadTime, Program: p, Digest: digest, ByHand: true}
		if old != nil && len(old.Applied) > 0 {
			rec.Applied, rec.Program.Name = old.Applied, old.Program.Name
		}
		if err := r.write(rec); err != nil {
			return err
		}
	}
	return r.cleanSome()
}

// Source is what a running program was loaded from, by its record, with the place that was
// asked for then. Use it as Adopt of [dispatcher.Transaction]. Errors: [xdp.ErrNotSource]
// without a record, and those of reading the object.
func Source(ctx context.Context, p xdp.Loaded) (xdp.Program, error) {
	return source(ctx, defaultRecords, p)
}

func source(ctx context.Context, r records, p xdp.Loaded) (xdp.Program, error) {
	rec, err := r.read(p.ID, p.Tag)
	if err != nil {
		return xdp.Program{}, err
	}
	if rec == nil {
		return xdp.Program{}, (&xdp.Error{Kind: xdp.ErrNotSource, Msg: fmt.Sprintf("nobody has recorded what %s was loaded from", p)}).
			Advise("name its object: %v", xdp.Hint{To: xdp.HintAdopt})
	}
	o := newObjects()
	defer o.close()
	w, err := o.resolve(ctx, rec.Program)
	if err != nil {
		return xdp.Program{}, err
	}
	return w.load(), nil
}

// entryOf is what a state file says of a program, with the place in the chain that was asked
// for, and the program's digest.
func entryOf(c dispatcher.Coming) (Program, string, error) {
	p := Program{Name: c.Name, Object: c.Program.File, Program: c.Name, PinPath: c.Program.PinPath, MapSizes: c.Program.MapSizes,
		Priority: c.Program.Priority, Actions: c.Program.Actions, Frags: c.Program.Frags}
	for _, path := range []*string{&p.Object, &p.PinPath} {
		if *path == "" {
			continue
		}
		var err error
		if *path, err = absolute(*path); err != nil {
			return p, "", err
		}
	}
	loaded := c.Program
	loaded.Name, loaded.PinPath = c.Name, p.PinPath
	var err error
	if p.Variables, loaded.Variables, err = variablesOf(c.Program); err != nil {
		return p, "", err
	}
	loaded.Contents = slices.Clone(loaded.Contents) // in the order of encodeMaps
	slices.SortStableFunc(loaded.Contents, func(a, b xdp.MapEntry) int { return strings.Compare(a.Map, b.Map) })
	for _, e := range loaded.Contents {
		if p.Maps == nil {
			p.Maps = map[string][]Entry{}
		}
		p.Maps[e.Map] = append(p.Maps[e.Map], Entry{hex.EncodeToString(e.Key), hex.EncodeToString(e.Value)})
	}
	loaded.TailCalls = slices.SortedFunc(slices.Values(loaded.TailCalls), func(a, b xdp.TailCall) int { // in the order of objects.tailCalls
		return cmp.Or(strings.Compare(a.Map, b.Map), cmp.Compare(a.Slot, b.Slot))
	})
	for _, c := range loaded.TailCalls {
		call := TailCall{Slot: c.Slot, Program: c.Name}
		if c.File != "" {
			var err error
			if call.Object, err = absolute(c.File); err != nil {
				return p, "", err
			}
		}
		if p.TailCalls == nil {
			p.TailCalls = map[string][]TailCall{}
		}
		p.TailCalls[c.Map] = append(p.TailCalls[c.Map], call)
	}
	digest, err := digestOf(sum(c.Program.Data), loaded)
	return p, digest, err
}

// variablesOf are the values of a program's global variables as a state file says them, and as
// [xdp.Program] takes those of a file: their bytes.
func variablesOf(p xdp.Program) (said, made map[string]any, err error) {
	if len(p.Variables) == 0 {
		return nil, nil, nil
	}
	sizes, err := object.VariableSizes(p.File, p.Data)
	if err != nil {
		return nil, nil, err
	}
	said, made = map[string]any{}, map[string]any{}
	for name, v := range p.Variables {
		bytes, err := object.EncodeVariable(v, sizes[name])
		if err != nil {
			return nil, nil, fmt.Errorf("variable %q: %w", name, err)
		}
		said[name], made[name] = hex.EncodeToString(bytes), bytes
	}
	return said, made, nil
}
