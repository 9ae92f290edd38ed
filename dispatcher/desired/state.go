package desired

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/xdpmux/xdpmux/dispatcher/internal/input"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// State is what should run.
type State struct {
	Interfaces []Interface `json:"interfaces"`
}

// Interface is an interface and what should run on it. Interfaces that a State
// doesn't name are left alone.
type Interface struct {
	Name     string    `json:"name"`           // or a pattern, of path.Match
	Mode     *xdp.Mode `json:"mode,omitempty"` // nil: native
	Programs []Program `json:"programs,omitempty"`

	where string // "file:line:column"; empty: not from a file
}

// Program is a program that should run.
type Program struct {
	Name     string       `json:"name"`               // unique on each interface
	Object   string       `json:"object"`             // path of the object file
	Section  string       `json:"section,omitempty"`  // not together with Program
	Program  string       `json:"program,omitempty"`  // the function's name; default of both: the first XDP program
	Priority *uint32      `json:"priority,omitempty"` // nil: what the object says, else 50
	Actions  *xdp.Actions `json:"actions,omitempty"`  // nil: what the object says, else XDP_PASS
	Frags    *bool        `json:"frags,omitempty"`    // nil: what the section's name says
	PinPath  string       `json:"pin-path,omitempty"` // maps that ask for pinning are pinned below it

	// Maps are the initial contents of maps, by name. A map that is found at its
	// pin keeps what it holds.
	Maps map[string][]Entry `json:"maps,omitempty"`

	// MapSizes are the maximum numbers of entries of maps, by name, instead of those of
	// the object.
	MapSizes map[string]uint32 `json:"map-sizes,omitempty"`

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

// FileLimit is how large a state file may be, in bytes.
const FileLimit = 4 << 20

// Read reads state files and puts them together: YAML or JSON, and of a directory
// those whose names say that, in the order of the names. Paths of objects in it
// become absolute. The error names the line and the column. A file has at most 4 MiB,
// and about a million values. ctx ends reading, also where nobody writes to a FIFO.
func Read(ctx context.Context, paths ...string) (*State, error) {
	files, err := listFiles(paths)
	if err != nil {
		return nil, err
	}
	s := &State{Interfaces: []Interface{}}
	for _, file := range files {
		data, err := input.ReadFile(ctx, file, FileLimit)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, cantRead(file, err)
		}
		one, err := Parse(ctx, file, filepath.Dir(file), data)
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
	var of *fs.PathError
	if errors.As(err, &of) {
		err = of.Err
	}
	return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("can't read the state in %s: %v", path, err), Err: err,
		Remedy: "name a file, or a directory with files that end in .yaml, .yml or .json"}
}

// invalid is an error about a place in a file.
func invalid(where, format string, args ...any) *xdp.Error {
	msg := fmt.Sprintf(format, args...)
	if where != "" {
		msg = where + ": " + msg
	}
	return &xdp.Error{Kind: xdp.ErrInvalid, Msg: msg}
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
	var doc yaml.Node
	if err := yaml.Load(escape(b.Bytes()), &doc); err != nil { // JSON is YAML, but for what ends a line
		return nil, err
	}
	spread(&doc)
	text, err := yaml.Dump(&doc, yaml.WithLineWidth(-1))
	return escape(text), err
}

// spread takes JSON's brackets away, and its quotes where a text can be read without
// them as nothing else, and be printed as it is.
func spread(n *yaml.Node) {
	quoted := n.Style&yaml.DoubleQuotedStyle != 0
	if n.Style = 0; quoted && (kindOf(n) != aText || strings.ContainsFunc(n.Value, unprintable)) {
		n.Style = yaml.DoubleQuotedStyle
	}
	if len(n.Content) == 0 && n.Kind != yaml.ScalarNode {
		n.Style = yaml.FlowStyle
	}
	for _, c := range n.Content {
		spread(c)
	}
}

func unprintable(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }

// escape escapes what YAML takes as it is, and a terminal doesn't. It stands in double
// quotes, where Go's escapes are YAML's too.
func escape(text []byte) []byte {
	var b bytes.Buffer
	for _, r := range string(text) {
		if unprintable(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.Bytes()
}
