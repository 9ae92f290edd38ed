package history

import (
	"encoding"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"

	"github.com/xdpmux/xdpmux/dispatcher/internal/store"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// settings are what a program was loaded with, beside its object and its place in the chain.
type settings struct {
	Section   string              `json:"section,omitempty"`
	Name      string              `json:"name,omitempty"`
	PinPath   string              `json:"pin_path,omitempty"` // absolute
	MapSizes  map[string]uint32   `json:"map_sizes,omitempty"`
	UseMaps   map[string]uint32   `json:"use_maps,omitempty"`
	Variables map[string]variable `json:"variables,omitempty"`
	Contents  []xdp.MapEntry      `json:"contents,omitempty"`
	TailCalls []xdp.TailCall      `json:"tail_calls,omitempty"` // with the objects of others
}

// variable is the value of a global variable: a number, a text, or its bytes.
type variable struct {
	Number string  `json:"number,omitempty"`
	Text   *string `json:"text,omitempty"`
	Bytes  []byte  `json:"bytes,omitempty"`
}

func settingsOf(p xdp.Program) (settings, error) {
	s := settings{Section: p.Section, Name: p.Name, PinPath: absolute(p.PinPath), MapSizes: p.MapSizes, UseMaps: p.UseMaps, Contents: p.Contents,
		TailCalls: p.TailCalls}
	for name, value := range p.Variables {
		v, err := variableOf(value)
		if err != nil {
			return s, fmt.Errorf("variable %q: %w", name, err)
		}
		if s.Variables == nil {
			s.Variables = map[string]variable{}
		}
		s.Variables[name] = v
	}
	return s, nil
}

// variableOf takes a value of [xdp.Program.Variables]. Its size isn't known here, so a number
// stays one.
func variableOf(value any) (variable, error) {
	if m, ok := value.(encoding.BinaryMarshaler); ok {
		made, err := m.MarshalBinary()
		return variable{Bytes: made}, err
	}
	switch r := reflect.ValueOf(value); {
	case r.CanInt():
		return variable{Number: strconv.FormatInt(r.Int(), 10)}, nil
	case r.CanUint():
		return variable{Number: strconv.FormatUint(r.Uint(), 10)}, nil
	case r.Kind() == reflect.String:
		text := r.String()
		return variable{Text: &text}, nil
	}
	made, err := binary.Append(nil, binary.NativeEndian, value)
	return variable{Bytes: made}, err
}

func (v variable) value() (any, error) {
	switch {
	case v.Text != nil:
		return *v.Text, nil
	case v.Number == "":
		return v.Bytes, nil
	}
	if n, err := strconv.ParseInt(v.Number, 10, 64); err == nil {
		return n, nil
	}
	return strconv.ParseUint(v.Number, 10, 64)
}

// keepSource keeps what a program is loaded from, so that it can be loaded anew.
func keepSource(s *store.Keeper, p xdp.Program, referred func(string) bool) (Source, error) {
	source := Source{File: absolute(p.File), SHA256: store.Digest(p.Data)}
	made, err := settingsOf(p)
	if err != nil {
		return source, err
	}
	text, err := json.Marshal(made)
	if err != nil {
		return source, err
	}
	if _, err := s.Put(p.Data, referred); err != nil {
		return source, err
	}
	source.Settings, err = s.Put(text, referred)
	return source, err
}

// programFrom is what a program was loaded from and with, without its place.
func programFrom(s store.Store, from Source) (xdp.Program, error) {
	p := xdp.Program{File: from.File}
	text, err := s.Get(from.Settings)
	if err != nil {
		return p, err
	}
	var made settings
	if err := json.Unmarshal(text, &made); err != nil {
		return p, err
	}
	if p.Data, err = s.Get(from.SHA256); err != nil {
		return p, err
	}
	p.Section, p.Name, p.PinPath, p.MapSizes, p.UseMaps, p.Contents = made.Section, made.Name, made.PinPath, made.MapSizes, made.UseMaps, made.Contents
	p.TailCalls = made.TailCalls
	for name, v := range made.Variables {
		value, err := v.value()
		if err != nil {
			return p, fmt.Errorf("variable %q: %w", name, err)
		}
		if p.Variables == nil {
			p.Variables = map[string]any{}
		}
		p.Variables[name] = value
	}
	return p, nil
}
