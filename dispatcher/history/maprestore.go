package history

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Restored says which maps of a program that is loaded anew get back what they held when it was
// removed.
type Restored struct {
	Program xdp.Loaded    `json:"program"` // as it ran before
	Maps    []RestoredMap `json:"maps"`    // not those that hold nothing that could be saved, such as constants
}

// RestoredMap is a map of a [Restored].
type RestoredMap struct {
	Map     string `json:"map"`           // global variables: their section
	Entries int    `json:"entries"`       // that it gets back; without those of arrays that are all zeroes
	Why     string `json:"why,omitempty"` // why it doesn't get back what it held
}

// RestoreMaps has the programs that are loaded anew begin with what their maps held when they
// were removed, as far as that was saved. Maps that are pinned still keep what they hold.
// It changes u.Change.Add. Errors: as of [Read].
func (u *Undo) RestoreMaps() ([]Restored, error) {
	if len(u.Loads) == 0 {
		return nil, nil
	}
	h, err := Read(string(u.dir))
	if err != nil {
		return nil, err
	}
	var all []Restored
	for i, was := range u.Loads {
		r := Restored{Program: was.Loaded, Maps: []RestoredMap{}}
		saved, why := u.dir.saved(h, u.Record.Boot, was.Loaded)
		if why != "" {
			r.Maps = append(r.Maps, RestoredMap{Why: why})
		}
		for _, m := range saved {
			one := RestoredMap{Map: m.Map, Why: m.Why}
			if one.Why == "" {
				if one.Why = cpusDiffer(m); one.Why == "" {
					one.Entries = len(m.Entries)
					p := &u.Change.Add[i]
					if p.Restore == nil {
						p.Restore = map[string][]xdp.MapEntry{}
					}
					p.Restore[m.Map] = m.Entries
				}
			}
			r.Maps = append(r.Maps, one)
		}
		all = append(all, r)
	}
	return all, nil
}

// saved is what was saved of the maps of a program. why says why there is nothing.
func (d directory) saved(h *History, boot string, p xdp.Loaded) (all []savedMap, why string) {
	for _, r := range h.Records {
		if r.Boot != boot || r.Before == nil {
			continue
		}
		i := slices.IndexFunc(r.Saved, func(s Saved) bool { return s.ID == p.ID })
		if _, had := r.Before.loaded()[p]; i < 0 || !had {
			continue
		}
		text, err := d.store().Get(r.Saved[i].SHA256)
		if err == nil {
			err = json.Unmarshal(text, &all)
		}
		if err != nil {
			return nil, fmt.Sprintf("what was saved of them can't be read: %v", err)
		}
		return all, ""
	}
	return nil, "nothing was saved of them: no call of xdpmux has removed the program, or it had none"
}

// cpusDiffer says why values for each CPU don't fit; empty: they do.
func cpusDiffer(m savedMap) string {
	cpus, err := libbpf.NumPossibleCPUs()
	if err != nil {
		return err.Error()
	}
	if m.CPUs != 0 && m.CPUs != cpus {
		return fmt.Sprintf("it had values for %d CPUs, and the machine has %d", m.CPUs, cpus)
	}
	return ""
}
