package desired

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Schema is the JSON Schema of a state file, for editors and other programs.
//
//go:embed schema.json
var Schema []byte

// depthLimit is how deep values may lie in each other. A state needs eight.
const depthLimit = 64

// Parse reads one state file from memory. JSON is YAML too. Errors call the file by name.
// Relative paths of objects start at dir. ctx can end it.
func Parse(ctx context.Context, name, dir string, data []byte) (*State, error) {
	root, err := parseYAML(ctx, name, data)
	if err != nil || root == nil {
		return &State{Interfaces: []Interface{}}, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	s := &State{Interfaces: []Interface{}}
	f := &stateFile{&reader{ctx: ctx, file: name}, dir}
	err = f.object(root, f.readTrial(s, keys{
		"interfaces": f.list(func(n *yaml.Node) error {
			i, err := f.readInterface(n)
			s.Interfaces = append(s.Interfaces, i)
			return err
		}),
	}))
	if err != nil {
		return nil, err
	}
	return s, nil
}

// parseYAML is the root of the only document, nil if the file has only comments.
func parseYAML(ctx context.Context, name string, data []byte) (*yaml.Node, error) {
	loader, err := yaml.NewLoader(&untilDone{ctx, bytes.NewReader(data)}, yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(depthLimit))))
	if err != nil {
		return nil, err
	}
	var doc, other yaml.Node
	err = loader.Load(&doc)
	if err == nil {
		if err = loader.Load(&other); err == nil {
			return nil, invalid(name, "several documents in one file, and a state is one")
		}
	}
	var wrong *yaml.LoadError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &wrong):
		return nil, syntaxError(name, wrong)
	case !errors.Is(err, io.EOF):
		return nil, invalid(name, "%v", err)
	case len(doc.Content) == 0 || doc.Content[0].Kind == yaml.ScalarNode && kindOf(doc.Content[0]) == nothing:
		return nil, nil
	}
	return doc.Content[0], nil
}

func syntaxError(name string, wrong *yaml.LoadError) error {
	at := wrong.Mark
	if at.Line == 0 {
		at = wrong.ContextMark
	}
	if at.Line > 0 {
		name = fmt.Sprintf("%s:%d:%d", name, at.Line, at.Column)
	}
	msg := wrong.Message
	if wrong.ContextMsg != "" {
		msg += " " + wrong.ContextMsg
	}
	if from := wrong.ContextMark; from.Line > 0 && from != at {
		msg += fmt.Sprintf(" from %d:%d on", from.Line, from.Column)
	}
	return invalid(name, "%s", msg)
}

// untilDone reads until its context ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilDone) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(b)
}

// stateFile reads what each part of a state file may say, as the schema has it.
type stateFile struct {
	*reader
	dir string // where relative objects are found
}

func (f *stateFile) readInterface(n *yaml.Node) (i Interface, err error) {
	i.where = f.where(n)
	return i, f.object(n, keys{
		"name": f.text(&i.Name, func() error {
			_, err := filepath.Match(i.Name, "")
			return err
		}),
		"mode": func(n *yaml.Node) error {
			var word string
			return f.text(&word, func() error {
				mode, err := xdp.ParseMode(word)
				if err == nil && mode == xdp.ModeHW {
					return errors.New("a chain can't be in hw mode")
				}
				i.Mode = &mode
				return err
			})(n)
		},
		"programs": f.list(func(n *yaml.Node) error {
			p, err := f.readProgram(n)
			i.Programs = append(i.Programs, p)
			return err
		}),
	}, "name")
}

func (f *stateFile) readProgram(n *yaml.Node) (p Program, err error) {
	p.where = f.where(n)
	err = f.object(n, keys{
		"name":       f.text(&p.Name, nil),
		"object":     f.text(&p.Object, nil),
		"verify-key": f.text(&p.VerifyKey, nil),
		"section":    f.text(&p.Section, nil),
		"program":    f.text(&p.Program, nil),
		"priority": func(n *yaml.Node) error {
			number, err := f.integer(n)
			if err != nil {
				return err
			}
			prio, err := strconv.ParseUint(string(number), 10, 32)
			if err != nil {
				return f.wrong(n, "%s is not a priority, which is from 0 to 4294967295", number)
			}
			p.Priority = xdp.Prio(uint32(prio))
			return nil
		},
		"actions": func(n *yaml.Node) error {
			p.Actions = xdp.On()
			return f.list(func(n *yaml.Node) error {
				var word string
				return f.text(&word, func() error {
					if strings.Contains(word, ",") { // as on the command line
						return errors.New("each action is an element of the list")
					}
					action, err := xdp.ParseActions(word)
					*p.Actions |= action
					return err
				})(n)
			})(n)
		},
		"frags": func(n *yaml.Node) (err error) {
			p.Frags = new(bool)
			*p.Frags, err = f.boolean(n)
			return err
		},
		"pin-path": f.text(&p.PinPath, func() error {
			if !filepath.IsAbs(p.PinPath) {
				return errors.New("it has to begin with /")
			}
			return nil
		}),
		"maps": func(n *yaml.Node) (err error) {
			p.Maps, err = f.readMaps(n)
			return err
		},
		"map-sizes": func(n *yaml.Node) error {
			p.MapSizes = map[string]uint32{}
			return f.each(n, func(key, n *yaml.Node) error {
				number, err := f.integer(n)
				if err != nil {
					return err
				}
				size, err := strconv.ParseUint(string(number), 10, 32)
				if err != nil || size == 0 {
					return f.wrong(n, "%s is not a number of entries, which is from 1 to 4294967295", number)
				}
				p.MapSizes[key.Value] = uint32(size)
				return nil
			})
		},
		"variables": func(n *yaml.Node) error {
			p.Variables = map[string]any{}
			return f.each(n, func(key, n *yaml.Node) error {
				var v any
				err := f.datum(&v)(n)
				p.Variables[key.Value] = v
				return err
			})
		},
		"tail-calls": func(n *yaml.Node) (err error) {
			p.TailCalls, err = f.readTailCalls(n)
			return err
		},
	}, "name", "object")
	if err != nil {
		return p, err
	}
	if p.Section != "" && p.Program != "" {
		return p, f.wrong(n, "program %q has both a section and a program", p.Name)
	}
	p.Object = under(f.dir, p.Object)
	if p.VerifyKey != "" && !strings.HasPrefix(p.VerifyKey, "-----BEGIN ") {
		p.VerifyKey = under(f.dir, p.VerifyKey)
	}
	return p, nil
}

func (f *stateFile) readTailCalls(n *yaml.Node) (map[string][]TailCall, error) {
	arrays := map[string][]TailCall{}
	return arrays, f.each(n, func(key, n *yaml.Node) error {
		name := key.Value
		arrays[name] = []TailCall{}
		return f.list(func(n *yaml.Node) error {
			var c TailCall
			err := f.object(n, keys{
				"slot": func(n *yaml.Node) error {
					number, err := f.integer(n)
					if err != nil {
						return err
					}
					slot, err := strconv.ParseUint(string(number), 10, 32)
					if err != nil {
						return f.wrong(n, "%s is not a slot of an array", number)
					}
					c.Slot = uint32(slot)
					return nil
				},
				"object":  f.text(&c.Object, nil),
				"program": f.text(&c.Program, nil),
			}, "slot")
			switch {
			case err != nil:
				return err
			case c.Object == "" && c.Program == "":
				return f.wrong(n, "slot %d has neither an object nor a program", c.Slot)
			case c.Object != "":
				c.Object = under(f.dir, c.Object)
			}
			arrays[name] = append(arrays[name], c)
			return nil
		})(n)
	})
}

func (f *stateFile) readMaps(n *yaml.Node) (map[string][]Entry, error) {
	maps := map[string][]Entry{}
	return maps, f.each(n, func(key, n *yaml.Node) error {
		name := key.Value
		maps[name] = []Entry{}
		return f.list(func(n *yaml.Node) error {
			var e Entry
			err := f.object(n, keys{"key": f.datum(&e.Key), "value": f.datum(&e.Value)}, "key", "value")
			maps[name] = append(maps[name], e)
			return err
		})(n)
	})
}

// datum reads a key or a value of a map, or the value of a variable.
func (f *stateFile) datum(into *any) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		is, err := f.follow(n)
		if err != nil {
			return err
		}
		switch kindOf(is) {
		case aText:
			var s string
			err = f.text(&s, nil)(n)
			*into = s
		case aWhole:
			*into, err = f.integer(n)
		default:
			err = f.unlike(n, "a whole number or a text")
		}
		return err
	}
}
