//go:build !lean

package main

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

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/check"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/inspect"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// documented are the shapes of the documents that commands print.
var documented = map[string][]any{
	"load":     {[]loadedJSON{}, []dispatcher.Preview{}},
	"unload":   {[]dispatcher.Preview{}},
	"replace":  {[]dispatcher.Preview{}},
	"set":      {[]dispatcher.Preview{}},
	"upgrade":  {[]dispatcher.Preview{}},
	"status":   {[]dispatcher.Chain{}},
	"features": {featuresJSON{}},
	"clean":    {cleanedJSON{}},
	"run":      {rateJSON{}},
	"check":    {[]check.Check{}},
	"inspect":  {[]inspect.Object{}},
	"map list": {[]maps.Used{}},
	// Written piece by piece, as entries are read.
	"map dump": {struct {
		Map     maps.Info   `json:"map"`
		Entries []entryJSON `json:"entries"`
	}{}},
	"plan":   {[]planJSON{}},
	"apply":  {[]planJSON{}},
	"export": {desired.State{}},
	"stats":  {statsJSON{}},
	"trace":  {traceJSON{}, totalsJSON{}},
}

var (
	jsonSection = regexp.MustCompile(`(?ms)^## ([a-z ]+)\n(.*?)(?:\n## |\z)`)
	jsonBlock   = regexp.MustCompile("(?ms)^```json\n(.*?)^```$")
)

// Every command with --json has a section in docs/json.md, whose examples are what
// the command writes: with all fields, no other, and nothing that would be left out.
func TestJSONIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/json.md")
	must(t, err)
	examples := map[string]string{}
	for text := string(doc); ; {
		m := jsonSection.FindStringSubmatchIndex(text)
		if m == nil {
			break
		}
		section := text[m[2]:m[3]]
		for _, block := range jsonBlock.FindAllStringSubmatch(text[m[4]:m[5]], -1) {
			examples[section] += block[1]
		}
		text = text[m[5]:]
	}
	commands := jsonCommands(newApp(&output{}).Commands, "")
	for _, command := range commands {
		t.Run(command, func(t *testing.T) {
			shapes := documented[command]
			if shapes == nil || examples[command] == "" {
				t.Fatal("it has --json, and no shape here or no example in docs/json.md")
			}
			testExamples(t, examples[command], shapes)
		})
	}
	for section := range examples {
		if !slices.Contains(commands, section) {
			t.Errorf("docs/json.md has a section on %s, which has no --json", section)
		}
	}
}

// jsonCommands are the names of the commands that have --json.
func jsonCommands(commands []*cli.Command, of string) (names []string) {
	for _, c := range commands {
		names = append(names, jsonCommands(c.Subcommands, of+c.Name+" ")...)
		if findFlag(c, "json") != nil {
			names = append(names, of+c.Name)
		}
	}
	return names
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
			must(t, err)
			var want, got any
			must(t, json.Unmarshal(example, &want))
			must(t, json.Unmarshal(written, &got))
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

// What the test above looks for, it finds.
func TestLacking(t *testing.T) {
	var chains any
	must(t, json.Unmarshal([]byte(`[{"interface": {"name": "eth0"}, "programs": [{"id": 1}, {"name": "a"}]}]`), &chains))
	got := lacking(reflect.TypeFor[[]struct {
		xdp.Interface `json:"interface"`
		Programs      []xdp.Loaded `json:"programs"`
		Verdicts      map[string]verdictStats
		Missing       *int `json:"missing,omitempty"`
		Hidden        int  `json:"-"`
	}](), []any{chains}, "")
	want := []string{".interface.index", ".programs.tag", ".Verdicts, which lacks a name for JSON", ".missing"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
