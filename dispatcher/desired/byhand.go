package desired

import (
	"encoding/hex"
	"path/filepath"
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Record keeps what programs are loaded from that no state has asked for. So [Export] can
// write them down, and an apply knows them again. Use it as BeforeSwap of
// [dispatcher.Transaction] and [dispatcher.AttachOptions]. If a program replaces one that
// Apply has put there, it gets that one's name in the records, and belongs to the state.
func Record(coming []dispatcher.Coming) error { return recordByHand(defaultRecords, coming) }

func recordByHand(r records, coming []dispatcher.Coming) error {
	if err := r.make(); err != nil {
		return err
	}
	for _, c := range coming {
		if c.Program.File == "" || len(c.Program.Variables) > 0 {
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

// entryOf is what a state file says of a program, but for its place in the chain, and the
// program's digest.
func entryOf(c dispatcher.Coming) (Program, string, error) {
	p := Program{Name: c.Name, Object: c.Program.File, Program: c.Name, PinPath: c.Program.PinPath, MapSizes: c.Program.MapSizes}
	for _, path := range []*string{&p.Object, &p.PinPath} {
		if *path == "" {
			continue
		}
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return p, "", err
		}
	}
	loaded := c.Program
	loaded.Name, loaded.PinPath = c.Name, p.PinPath
	loaded.Contents = slices.Clone(loaded.Contents) // in the order of encodeMaps
	slices.SortStableFunc(loaded.Contents, func(a, b xdp.MapEntry) int { return strings.Compare(a.Map, b.Map) })
	for _, e := range loaded.Contents {
		if p.Maps == nil {
			p.Maps = map[string][]Entry{}
		}
		p.Maps[e.Map] = append(p.Maps[e.Map], Entry{hex.EncodeToString(e.Key), hex.EncodeToString(e.Value)})
	}
	digest, err := digestOf(sum(c.Program.Data), loaded)
	return p, digest, err
}
