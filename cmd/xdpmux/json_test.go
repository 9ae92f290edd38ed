package main

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// documented are the shapes of docs/json.md by the heading of their command.
var documented = map[string]any{
	"status":   []dispatcher.Chain{},
	"features": featuresJSON{},
	"check":    []dispatcher.Check{},
}

var jsonSection = regexp.MustCompile("(?ms)^## (\\w+)\n.*?^```json\n(.*?)^```")

// A command is documented by an example that has all fields of what it writes and
// no other.
func TestJSONIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := map[string]string{}
	for _, m := range jsonSection.FindAllStringSubmatch(string(doc), -1) {
		examples[m[1]] = m[2]
	}
	for _, command := range newApp(&output{}).Commands {
		shape := documented[command.Name]
		if shape == nil {
			continue
		}
		example := examples[command.Name]
		dec := json.NewDecoder(strings.NewReader(example))
		dec.DisallowUnknownFields()
		if err := dec.Decode(reflect.New(reflect.TypeOf(shape)).Interface()); err != nil {
			t.Errorf("%s: %v in the example:\n%s", command.Name, err, example)
		}
		for _, field := range jsonFields(reflect.TypeOf(shape)) {
			if !strings.Contains(example, `"`+field+`":`) {
				t.Errorf("%s: the example lacks %q", command.Name, field)
			}
		}
	}
}

// jsonFields are the names of all fields in t, however deep.
func jsonFields(t reflect.Type) []string {
	switch t.Kind() {
	case reflect.Slice, reflect.Pointer, reflect.Map:
		return jsonFields(t.Elem())
	case reflect.Struct:
		var names []string
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			if name != "" {
				names = append(names, name)
			}
			names = append(names, jsonFields(f.Type)...)
		}
		return names
	}
	return nil
}
