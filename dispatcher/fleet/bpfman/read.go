package bpfman

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/fleet"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// depthLimit is how deep values may lie in each other.
const depthLimit = 64

// Options are what the files can't say.
type Options struct {
	// Primary is the interface that primaryNodeInterface stands for; empty: such an attachment
	// is left out.
	Primary string
}

// Converted is what files for bpfman say in our words.
type Converted struct {
	Chains []fleet.Chain // one for each application that has an XDP part
	Notes  []string      // what has no counterpart: "file: ClusterBpfApplication a: spec... is left out"

	interfaces [][]desired.Interface // of the chains
}

// Read reads files as [desired.Read] does, each with any number of documents. What isn't an
// application is noted. Errors: [xdp.ErrInvalid] for what can't be read.
func Read(ctx context.Context, opts Options, paths ...string) (*Converted, error) {
	c := &Converted{}
	err := desired.ReadFiles(ctx, "application", paths, func(file string, data []byte) error {
		return c.Parse(opts, file, data)
	})
	return c, err
}

// Parse adds what a file says that was read already. Errors and notes call it by that name.
func (c *Converted) Parse(opts Options, name string, data []byte) error {
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(depthLimit))))
	if err != nil {
		return err
	}
	for {
		r := &reader{Options: opts, to: c, file: name}
		var doc any
		switch err := loader.Load(&doc); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return r.invalid("%v", err)
		case doc == nil:
			continue
		}
		if err := r.read(doc); err != nil {
			return err
		}
	}
}

// Add adds what other files say.
func (c *Converted) Add(o *Converted) {
	c.Chains, c.Notes, c.interfaces = append(c.Chains, o.Chains...), append(c.Notes, o.Notes...), append(c.interfaces, o.interfaces...)
}

// State is one state for all chains, of which it forgets which nodes they are for.
func (c *Converted) State() *desired.State {
	s := &desired.State{Interfaces: []desired.Interface{}}
	for i, chain := range c.Chains {
		if !chain.Spec.NodeSelector.All() {
			c.Notes = append(c.Notes, fmt.Sprintf("%s %s: spec.nodeSelector has no counterpart: a state file is for one machine", fleet.ChainKind, chain.Metadata.Name))
		}
		for _, i := range c.interfaces[i] {
			s.Interfaces = mergeInterface(s.Interfaces, i)
		}
	}
	return s
}

// reader reads one document.
type reader struct {
	Options
	to         *Converted
	file       string
	interfaces []desired.Interface // that it has programs for
	what       string              // such as ClusterBpfApplication a; empty: not known yet
}

func (r *reader) where() string {
	where := filepath.Base(r.file)
	if r.what != "" {
		where += ": " + r.what
	}
	return where
}

func (r *reader) note(format string, args ...any) {
	r.to.Notes = append(r.to.Notes, r.where()+": "+fmt.Sprintf(format, args...))
}

func (r *reader) invalid(format string, args ...any) error {
	return &xdp.Error{Kind: xdp.ErrInvalid, Msg: r.where() + ": " + fmt.Sprintf(format, args...)}
}

func (r *reader) fieldsOf(path string, v any) (*fields, error) {
	f := &fields{r: r, path: path, names: map[string]string{}}
	switch v := v.(type) {
	case nil:
	case map[string]any:
		f.all = v
		for key := range v {
			if f.names[plain(key)] != "" {
				return nil, r.invalid("%s.%s stands there twice", path, key)
			}
			f.names[plain(key)] = key
		}
	default:
		return nil, r.invalid("%s is no object", path)
	}
	return f, nil
}
