package bpfman

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// fields are those of one object of a file. What nobody takes has no counterpart, or isn't known.
type fields struct {
	r     *reader
	path  string // such as spec.programs[0]
	all   map[string]any
	names map[string]string // as the file has them, by their plain form
}

// plain is a word without what differs between releases.
func plain(word string) string { return strings.ToLower(strings.ReplaceAll(word, "_", "")) }

// take is a field's value, nil where it isn't there.
func (f *fields) take(name string) any {
	key, ok := f.names[plain(name)]
	if !ok {
		return nil
	}
	delete(f.names, plain(name))
	return f.all[key]
}

func (f *fields) wrong(name, wanted string) error {
	return f.r.invalid("%s.%s is no %s", f.path, name, wanted)
}

// object is a field that is an object. It has no fields where it isn't there.
func (f *fields) object(name string) (*fields, error) {
	return f.r.fieldsOf(f.path+"."+name, f.take(name))
}

func (f *fields) text(name string) (string, error) {
	switch v := f.take(name).(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	return "", f.wrong(name, "text")
}

func (f *fields) list(name string) ([]any, error) {
	switch v := f.take(name).(type) {
	case nil:
		return nil, nil
	case []any:
		return v, nil
	}
	return nil, f.wrong(name, "list")
}

func (f *fields) texts(name string) (texts []string, err error) {
	all, err := f.list(name)
	for _, v := range all {
		s, ok := v.(string)
		if !ok || s == "" {
			return nil, f.wrong(name, "list of texts")
		}
		texts = append(texts, s)
	}
	return texts, err
}

// objects calls each for the elements of a list of objects.
func (f *fields) objects(name string, each func(*fields) error) error {
	all, err := f.list(name)
	for i, v := range all {
		var o *fields
		if o, err = f.r.fieldsOf(fmt.Sprintf("%s.%s[%d]", f.path, name, i), v); err == nil {
			err = each(o)
		}
		if err != nil {
			return err
		}
	}
	return err
}

// lost notes a field that is there and has no counterpart.
func (f *fields) lost(name, why string) {
	if f.take(name) != nil {
		f.r.note("%s.%s %s", f.path, name, why)
	}
}

// rest notes the fields that nobody has taken.
func (f *fields) rest() {
	for _, key := range slices.Sorted(maps.Values(f.names)) {
		f.r.note("%s.%s isn't known here, and is left out", f.path, key)
	}
	clear(f.names)
}

// bytes are the bytes of a global variable, in hexadecimal: Go's JSON has them in base64, and
// takes a list of numbers too.
func (f *fields) bytes(name string, v any) (string, error) {
	switch v := v.(type) {
	case string:
		if b, err := base64.StdEncoding.DecodeString(v); err == nil {
			return hex.EncodeToString(b), nil
		}
	case []any:
		var b []byte
		for _, e := range v {
			n, ok := e.(int)
			if !ok || n < 0 || n > 255 {
				return "", f.wrong(name, "list of bytes")
			}
			b = append(b, byte(n))
		}
		return hex.EncodeToString(b), nil
	}
	return "", f.wrong(name, "bytes, in base64 or as a list of numbers")
}
