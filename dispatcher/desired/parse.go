package desired

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// Schema is the JSON Schema of a state file, for editors and other programs.
//
//go:embed schema.json
var Schema []byte

// parse reads one file; JSON is YAML too.
func parse(file string, data []byte) (*State, error) {
	tree, err := parser.ParseBytes(data, 0)
	var wrong yaml.Error
	if errors.As(err, &wrong) && wrong.GetToken() != nil {
		p := wrong.GetToken().Position
		return nil, invalid(fmt.Sprintf("%s:%d:%d", file, p.Line, p.Column), "%s", wrong.GetMessage())
	}
	if err != nil {
		return nil, invalid(file, "%v", err)
	}
	s := &State{}
	switch {
	case len(tree.Docs) == 0 || tree.Docs[0].Body == nil:
		return s, nil // nothing but comments
	case len(tree.Docs) > 1:
		return nil, invalid(file, "%d documents in one file, and a state is one", len(tree.Docs))
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	f := &stateFile{newReader(file, tree.Docs[0].Body), dir}
	return s, f.object(tree.Docs[0].Body, keys{
		"interfaces": f.list(func(n ast.Node) error {
			i, err := f.readInterface(n)
			s.Interfaces = append(s.Interfaces, i)
			return err
		}),
	})
}

// stateFile reads what each part of a state file may say, as the schema has it.
type stateFile struct {
	*reader
	dir string // where relative objects are found
}

func (f *stateFile) readInterface(n ast.Node) (i Interface, err error) {
	i.where = f.where(n)
	return i, f.object(n, keys{
		"name": f.text(&i.Name, func() error {
			_, err := filepath.Match(i.Name, "")
			return err
		}),
		"mode": func(n ast.Node) error {
			var word string
			return f.text(&word, func() error {
				mode, err := dispatcher.ParseMode(word)
				if err == nil && mode == dispatcher.ModeHW {
					return errors.New("a chain can't be in hw mode")
				}
				i.Mode = &mode
				return err
			})(n)
		},
		"programs": f.list(func(n ast.Node) error {
			p, err := f.readProgram(n)
			i.Programs = append(i.Programs, p)
			return err
		}),
	}, "name")
}

func (f *stateFile) readProgram(n ast.Node) (p Program, err error) {
	p.where = f.where(n)
	err = f.object(n, keys{
		"name":    f.text(&p.Name, nil),
		"object":  f.text(&p.Object, nil),
		"section": f.text(&p.Section, nil),
		"program": f.text(&p.Program, nil),
		"priority": func(n ast.Node) error {
			number, err := f.integer(n)
			if err != nil {
				return err
			}
			prio, err := strconv.ParseUint(string(number), 10, 32)
			if err != nil {
				return f.wrong(n, "%s is not a priority, which is from 0 to 4294967295", number)
			}
			p.Priority = dispatcher.Prio(uint32(prio))
			return nil
		},
		"actions": func(n ast.Node) error {
			p.Actions = dispatcher.On()
			return f.list(func(n ast.Node) error {
				var word string
				return f.text(&word, func() error {
					if strings.Contains(word, ",") { // as on the command line
						return errors.New("each action is an element of the list")
					}
					action, err := dispatcher.ParseActions(word)
					*p.Actions |= action
					return err
				})(n)
			})(n)
		},
		"frags": func(n ast.Node) (err error) {
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
		"maps": func(n ast.Node) (err error) {
			p.Maps, err = f.readMaps(n)
			return err
		},
	}, "name", "object")
	if err != nil {
		return p, err
	}
	if p.Section != "" && p.Program != "" {
		return p, f.wrong(n, "program %q has both a section and a program", p.Name)
	}
	if !filepath.IsAbs(p.Object) {
		p.Object = filepath.Join(f.dir, p.Object)
	}
	return p, nil
}

func (f *stateFile) readMaps(n ast.Node) (map[string][]Entry, error) {
	maps := map[string][]Entry{}
	return maps, f.each(n, func(key, n ast.Node) error {
		name := key.GetToken().Value
		maps[name] = []Entry{}
		return f.list(func(n ast.Node) error {
			var e Entry
			err := f.object(n, keys{"key": f.datum(&e.Key), "value": f.datum(&e.Value)}, "key", "value")
			maps[name] = append(maps[name], e)
			return err
		})(n)
	})
}

// datum reads a key or a value of a map.
func (f *stateFile) datum(into *any) func(ast.Node) error {
	return func(n ast.Node) (err error) {
		if _, isText := f.follow(n).(*ast.StringNode); isText {
			var s string
			err = f.text(&s, nil)(n)
			*into = s
			return err
		}
		var number json.Number
		if number, err = f.integer(n); err != nil {
			return f.wrong(n, "a number or a text is wanted here")
		}
		*into = number
		return nil
	}
}

// keys are those of an object, with what reads their values.
type keys map[string]func(ast.Node) error

func (k keys) names() []string {
	var names []string
	for name := range k {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
