package desired

import (
	"path/filepath"
	"slices"

	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
)

// compareOthers compares each wanted program with those of the same function that Apply has
// not put there. To compare, it loads the wanted program; close lets that go.
func (o *objects) compareOthers(want []*wanted, runs []*running) error {
	for _, w := range want {
		for _, r := range runs {
			if r.applied() || r.Name != w.function || recordedAs(w, r) {
				continue
			}
			s, err := o.specimen(w, r.ifindex)
			if err != nil {
				return locate(w.entry.where, err)
			}
			if w.tag = s.Tag; r.Tag != w.tag {
				continue
			}
			if w.unlike == nil {
				w.unlike = map[uint32]string{}
			}
			if w.unlike[r.ID], err = s.Difference(r.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// specimen loads a wanted program once for all interfaces, of which one has that index.
func (o *objects) specimen(w *wanted, ifindex int) (*object.Specimen, error) {
	if s := o.specimens[w.digest]; s != nil {
		return s, nil
	}
	s, err := object.NewSpecimen(w.load(), ifindex)
	if err == nil {
		o.specimens[w.digest] = s
	}
	return s, err
}

// findLostPins notes which maps have lost their pins, of the programs whose object is known.
func (o *objects) findLostPins(want []*wanted, runs []*running) error {
	for _, r := range runs {
		i := slices.IndexFunc(want, func(w *wanted) bool { return recordedAs(w, r) })
		if i < 0 {
			continue
		}
		var err error
		if r.unpinned, r.otherPin, err = object.LostPins(r.ID, o.pins(want[i].entry)); err != nil {
			return err
		}
	}
	return nil
}

// pins are where the maps of a program are pinned, by their names.
func (o *objects) pins(p Program) map[string]string {
	pins := map[string]string{}
	object := o.inspections[p.Object]
	if p.PinPath == "" || object == nil {
		return pins
	}
	for _, m := range object.Maps {
		if m.Pinning != "none" {
			pins[m.Name] = filepath.Join(p.PinPath, m.Name)
		}
	}
	return pins
}
