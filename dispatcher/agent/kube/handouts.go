package kube

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/fleet"
)

// The files below the node's directory: what package agent reads, and what it is made of.
const (
	stateFile    = "fleet.json"
	handOutsFile = ".handouts.json" // package agent doesn't read it
)

// taken is a hand-out as the node has taken it.
type taken struct {
	HandOut fleet.HandOut `json:"handOut"`
	Runs    fleet.HandOut `json:"runs"` // HandOut, or the one before if that can't be used
	Err     string        `json:"err,omitempty"`
}

// take takes hand-outs in the place of those before. One that can't be used leaves the one before.
func take(ctx context.Context, before []taken, handed []fleet.HandOut) []taken {
	all := make([]taken, 0, len(handed))
	for _, h := range handed {
		t := taken{HandOut: h, Runs: h}
		if _, err := h.Interfaces.State(ctx, fleet.ChainKind+" "+h.Chain); err != nil {
			t.Err, t.Runs.Interfaces = err.Error(), nil
			if i := slices.IndexFunc(before, func(o taken) bool { return o.HandOut.Chain == h.Chain && o.HandOut.UID == h.UID }); i >= 0 {
				t.Runs = before[i].Runs
			}
		}
		all = append(all, t)
	}
	return all
}

// state is the state file for all that was taken. The most cautious of the chains says how a
// change is tried.
func state(all []taken) ([]byte, error) {
	var s struct {
		desired.Trial
		Interfaces []json.RawMessage `json:"interfaces"`
	}
	s.Interfaces = []json.RawMessage{}
	for _, t := range all {
		if t.Runs.Interfaces == nil {
			continue
		}
		var interfaces []json.RawMessage
		if err := json.Unmarshal(t.Runs.Interfaces, &interfaces); err != nil {
			return nil, err
		}
		s.Interfaces = append(s.Interfaces, interfaces...)
		s.Confirm = max(s.Confirm, t.Runs.Confirm)
		if drops := t.Runs.GuardDrops; drops != nil && (s.GuardDrops == nil || *drops < *s.GuardDrops) {
			s.GuardDrops = drops
		}
		if t.Runs.GuardDrops != nil {
			s.GuardBefore = max(s.GuardBefore, t.Runs.GuardBefore)
		}
	}
	return json.Marshal(s)
}

// keep writes down what was taken, and then the state file. Each is there whole, or as it was.
func keep(dir string, all []taken) error {
	text, err := state(all)
	if err != nil {
		return err
	}
	taken, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return errors.Join(replace(filepath.Join(dir, handOutsFile), taken), replace(filepath.Join(dir, stateFile), text))
}

func replace(file string, data []byte) error {
	tmp := filepath.Join(filepath.Dir(file), ".new")
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}

// recall is what was taken before this process began; none on a node that is new.
func recall(dir string) (all []taken, err error) {
	text, err := os.ReadFile(filepath.Join(dir, handOutsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	return all, err
}
