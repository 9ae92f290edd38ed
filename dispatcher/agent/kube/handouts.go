package kube

import (
	"bytes"
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

// The files below the node's directory: how changes are tried, a file for each chain, and what they
// are made of. With files of their own, chains don't wait for the images of each other.
const (
	trialFile    = "fleet.json"
	chainPrefix  = "chain-"
	handOutsFile = ".handouts.json" // package agent doesn't read it
)

// file is what the state file of a hand-out is called.
func (t taken) file() string { return chainPrefix + t.HandOut.Chain + ".json" }

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

// trial is the state file that says how changes are tried: as the most cautious of the chains does.
func trial(all []taken) ([]byte, error) {
	var s struct {
		desired.Trial
		Interfaces []string `json:"interfaces"`
	}
	s.Interfaces = []string{}
	for _, t := range all {
		if t.Runs.Interfaces == nil {
			continue
		}
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

// keep writes down what was taken, and then the state files: first how to try what the next ones
// declare, and what isn't handed out any more last, as another chain may have got its interface. Each
// file is there whole, or as it was.
func keep(dir string, all []taken) error {
	how, err := trial(all)
	if err != nil {
		return err
	}
	taken, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if err := errors.Join(replace(filepath.Join(dir, handOutsFile), taken), replace(filepath.Join(dir, trialFile), how)); err != nil {
		return err
	}
	gone, err := filepath.Glob(filepath.Join(dir, chainPrefix+"*"))
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.Runs.Interfaces == nil {
			continue
		}
		file := filepath.Join(dir, t.file())
		gone = slices.DeleteFunc(gone, func(old string) bool { return old == file })
		text, err := json.Marshal(map[string]fleet.Interfaces{"interfaces": t.Runs.Interfaces})
		if err == nil {
			err = replace(file, text)
		}
		if err != nil {
			return err // what was to take the place of others isn't there, so those stay
		}
	}
	var errs []error
	for _, file := range gone {
		errs = append(errs, os.Remove(file))
	}
	return errors.Join(errs...)
}

// replace writes a file, unless it holds that already.
func replace(file string, data []byte) error {
	if is, err := os.ReadFile(file); err == nil && bytes.Equal(is, data) {
		return nil
	}
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
