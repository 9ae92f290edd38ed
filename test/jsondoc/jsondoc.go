// Package jsondoc holds docs/json.md to what commands print.
package jsondoc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
)

var (
	jsonSection = regexp.MustCompile(`(?ms)^## ([a-z ]+)\n(.*?)(?:\n## |\z)`)
	jsonBlock   = regexp.MustCompile("(?ms)^```json\n(.*?)^```$")
)

// Test looks at the sections of docs/json.md on those commands that have --json. Each
// has a section, whose examples are what the command writes: with all fields, no other,
// and nothing that would be left out. shapes are the documents of each command.
func Test(t *testing.T, commands []*cli.Command, shapes map[string][]any) {
	t.Helper()
	for _, command := range names(commands, "") {
		t.Run(command, func(t *testing.T) {
			examples := Sections(t)[command]
			if shapes[command] == nil || examples == "" {
				t.Fatal("it has --json, and no shape here or no example in docs/json.md")
			}
			testExamples(t, examples, shapes[command])
		})
	}
}

// Sections are the examples of docs/json.md, by the command that they are of.
func Sections(t *testing.T) map[string]string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := map[string]string{}
	for text := string(doc); ; {
		m := jsonSection.FindStringSubmatchIndex(text)
		if m == nil {
			return examples
		}
		section := text[m[2]:m[3]]
		for _, block := range jsonBlock.FindAllStringSubmatch(text[m[4]:m[5]], -1) {
			examples[section] += block[1]
		}
		text = text[m[5]:]
	}
}

// names are the names of the commands that have --json.
func names(commands []*cli.Command, of string) (all []string) {
	for _, c := range commands {
		all = append(all, names(c.Subcommands, of+c.Name+" ")...)
		if slices.ContainsFunc(c.Flags, func(flag cli.Flag) bool { return flag.Names()[0] == "json" }) {
			all = append(all, of+c.Name)
		}
	}
	return all
}

func testExamples(t *testing.T, examples string, shapes []any) {
	t.Helper()
	seen := make([][]any, len(shapes)) // the examples of each shape
	for d := json.NewDecoder(strings.NewReader(examples)); ; {
		var example json.RawMessage
		if err := d.Decode(&example); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		var errs []error
		for i, shape := range shapes {
			decoded := reflect.New(reflect.TypeOf(shape)).Interface()
			strict := json.NewDecoder(strings.NewReader(string(example)))
			strict.DisallowUnknownFields()
			if err := strict.Decode(decoded); err != nil {
				errs = append(errs, err)
				continue
			}
			written, err := json.Marshal(decoded)
			if err != nil {
				t.Fatal(err)
			}
			var want, got any
			if err := errors.Join(json.Unmarshal(example, &want), json.Unmarshal(written, &got)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the example, and + what would be written of it:\n%s", diff)
			}
			seen[i] = append(seen[i], want)
			break
		}
		if len(errs) == len(shapes) {
			t.Errorf("%v in the example:\n%s", errors.Join(errs...), example)
		}
	}
	for i, shape := range shapes {
		for _, field := range lacking(reflect.TypeOf(shape), seen[i], "") {
			t.Errorf("no example has %s", field)
		}
	}
}

// lacking are the fields of t that are in none of the examples.
func lacking(t reflect.Type, examples []any, path string) (fields []string) {
	if t.Implements(reflect.TypeFor[json.Marshaler]()) || t.Implements(reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()) {
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return lacking(t.Elem(), examples, path)
	case reflect.Slice, reflect.Map:
		var elements []any
		for _, e := range examples {
			switch e := e.(type) {
			case []any:
				elements = append(elements, e...)
			case map[string]any:
				for _, element := range e {
					elements = append(elements, element)
				}
			}
		}
		return lacking(t.Elem(), elements, path)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case f.Anonymous && name == "":
				fields = append(fields, lacking(f.Type, examples, path)...)
				continue
			case name == "-" || !f.IsExported():
				continue
			case name == "":
				fields = append(fields, fmt.Sprintf("%s.%s, which lacks a name for JSON", path, f.Name))
				continue
			}
			var values []any
			for _, e := range examples {
				if object, ok := e.(map[string]any); ok {
					if v, ok := object[name]; ok {
						values = append(values, v)
					}
				}
			}
			if values == nil {
				fields = append(fields, path+"."+name)
			}
			fields = append(fields, lacking(f.Type, values, path+"."+name)...)
		}
	}
	return fields
}
