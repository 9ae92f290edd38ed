package desired

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// State is what should run.
type State struct {
	Interfaces []Interface `json:"interfaces"`
}

// Interface is an interface and what should run on it. Interfaces that a State
// doesn't name are left alone.
type Interface struct {
	Name     string           `json:"name"`           // or a pattern, of path.Match
	Mode     *dispatcher.Mode `json:"mode,omitempty"` // nil: native
	Programs []Program        `json:"programs,omitempty"`

	where string // "file:line:column"; empty: not from a file
}

// Program is a program that should run.
type Program struct {
	Name     string              `json:"name"`               // unique on each interface
	Object   string              `json:"object"`             // path of the object file
	Section  string              `json:"section,omitempty"`  // not together with Program
	Program  string              `json:"program,omitempty"`  // the function's name; default of both: the first XDP program
	Priority *uint32             `json:"priority,omitempty"` // nil: what the object says, else 50
	Actions  *dispatcher.Actions `json:"actions,omitempty"`  // nil: what the object says, else XDP_PASS
	Frags    *bool               `json:"frags,omitempty"`    // nil: what the section's name says
	PinPath  string              `json:"pin-path,omitempty"` // maps that ask for pinning are pinned below it

	// Maps are the initial contents of maps, by name. A map that is found at its
	// pin keeps what it holds.
	Maps map[string][]Entry `json:"maps,omitempty"`

	where string
}

// Entry is an entry of a map: each a whole number, which from a file is a
// [json.Number], or a string that is an IP address or prefix, a MAC address, or
// bytes in hexadecimal.
type Entry struct {
	Key   any `json:"key"`
	Value any `json:"value"`
}

// extensions are the names of the files that are read from a directory.
var extensions = []string{".yaml", ".yml", ".json"}

// Read reads state files and puts them together: YAML or JSON, and of a directory
// those whose names say that, in the order of the names. Paths of objects in it
// become absolute. The error names the line and the column.
func Read(paths ...string) (*State, error) {
	files, err := listFiles(paths)
	if err != nil {
		return nil, err
	}
	s := &State{Interfaces: []Interface{}}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, cantRead(file, err)
		}
		one, err := parse(file, data)
		if err != nil {
			return nil, err
		}
		s.Interfaces = append(s.Interfaces, one.Interfaces...)
	}
	return s, nil
}

func listFiles(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, cantRead(path, err)
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, cantRead(path, err)
		}
		n := len(files)
		for _, e := range entries {
			if slices.Contains(extensions, filepath.Ext(e.Name())) && e.Name()[0] != '.' {
				files = append(files, filepath.Join(path, e.Name()))
			}
		}
		if len(files) == n {
			return nil, invalid("", "the directory %s has no state file", path)
		}
	}
	return files, nil
}

func cantRead(path string, err error) error {
	return &dispatcher.Error{Kind: dispatcher.ErrInvalid, Msg: fmt.Sprintf("can't read the state: %v", err), Err: err,
		Remedy: "name a file, or a directory with files that end in .yaml, .yml or .json"}
}

// invalid is an error about a place in a file.
func invalid(where, format string, args ...any) *dispatcher.Error {
	msg := fmt.Sprintf(format, args...)
	if where != "" {
		msg = where + ": " + msg
	}
	return &dispatcher.Error{Kind: dispatcher.ErrInvalid, Msg: msg}
}

// YAML is the state as a file. What can't be printed in its texts is escaped. Errors:
// a text that isn't UTF-8, which neither YAML nor JSON can hold.
func (s *State) YAML() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return nil, err
	}
	var tree any
	if err := yaml.UnmarshalWithOptions(b.Bytes(), &tree, yaml.UseOrderedMap()); err != nil {
		return nil, err
	}
	node, err := yaml.ValueToNode(tree)
	if err != nil {
		return nil, err
	}
	ast.Walk(quoter{}, node)
	return []byte(node.String() + "\n"), nil
}

// quoter quotes the texts of a tree that can't be printed as they are, and those such as
// .inf, which the writer leaves as they are and the parser takes for numbers.
type quoter struct{}

// Visit is for ast.Walk.
func (q quoter) Visit(n ast.Node) ast.Visitor {
	text, ok := n.(*ast.StringNode)
	if ok && (strings.HasPrefix(strings.TrimLeft(text.Value, "+-"), ".") || strings.ContainsFunc(text.Value, func(r rune) bool { return !strconv.IsPrint(r) })) {
		text.Value = strconv.Quote(text.Value) // its escapes are YAML's too
	}
	return q
}
