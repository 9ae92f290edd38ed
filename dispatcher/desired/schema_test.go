package desired

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"
)

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSchema: the schema takes what can be said; TestParseErrors has what it can't.
func TestSchema(t *testing.T) {
	for _, file := range []string{full, "{}", "interfaces: [{name: eth0, programs: []}]"} {
		var doc any
		if err := yaml.Unmarshal([]byte(file), &doc); err != nil {
			t.Fatal(err)
		}
		if err := schema(t).Validate(doc); err != nil {
			t.Error(err)
		}
		if _, err := parse("a.yaml", []byte(file)); err != nil {
			t.Error(err)
		}
	}
}

// genDocument makes what may stand in a file: mostly the right keys and values.
func genDocument(t *rapid.T) any {
	pick := func(good, bad []any) any {
		if rapid.IntRange(0, 9).Draw(t, "chance") == 0 {
			return rapid.SampledFrom(append(bad, nil, true, 7, "", "text", []any{}, map[string]any{})).Draw(t, "bad")
		}
		return rapid.SampledFrom(good).Draw(t, "good")
	}
	object := func(needed int, keys []string, values map[string]func() any) any {
		n := rapid.IntRange(needed, len(keys)).Draw(t, "keys")
		if rapid.IntRange(0, 19).Draw(t, "chance") == 0 {
			needed = 0
		}
		o := map[string]any{}
		for _, key := range append(keys[:needed:needed], rapid.Permutation(keys[needed:]).Draw(t, "keys")[:n-needed]...) {
			o[key] = values[key]()
		}
		if rapid.IntRange(0, 19).Draw(t, "chance") == 0 {
			o["other"] = 1
		}
		return o
	}
	list := func(element func() any) any {
		l := []any{}
		for range rapid.IntRange(0, 2).Draw(t, "length") {
			l = append(l, element())
		}
		return l
	}
	text := func() any { return pick([]any{"a", "b.o", "xdp/x"}, nil) }
	datum := func() any {
		return pick([]any{0, -1, json.Number("18446744073709551615"), "0a 00", "192.0.2.1"}, []any{1.5})
	}
	program := func() any {
		return object(2, []string{"name", "object", "section", "program", "priority", "actions", "frags", "pin-path", "maps", "map-sizes", "variables", "tail-calls", "verify-key"}, map[string]func() any{
			"name": text, "object": text, "section": text, "program": text, "verify-key": text,
			"priority": func() any { return pick([]any{0, 50, uint32(math.MaxUint32)}, []any{-1, 1 << 32, 1.5, "50"}) },
			"actions": func() any {
				return list(func() any {
					return pick([]any{"XDP_PASS", "XDP_DROP", "XDP_ABORTED", "XDP_TX", "XDP_REDIRECT", "pass", "TX", "xdp_drop"}, []any{"XDP_PASS,XDP_TX", "Pass", "XDP_drop", "pass\n"})
				})
			},
			"frags":    func() any { return pick([]any{true, false}, []any{"true"}) },
			"pin-path": func() any { return pick([]any{"/sys/fs/bpf/x", "/"}, []any{"x"}) },
			"map-sizes": func() any {
				return map[string]any{"m": pick([]any{1, uint32(math.MaxUint32)}, []any{0, -1, 1 << 32, 1.5, "1"})}
			},
			"variables": func() any { return map[string]any{"v": datum()} },
			"tail-calls": func() any {
				return map[string]any{"m": list(func() any {
					return object(2, []string{"slot", "program", "object"}, map[string]func() any{
						"slot": func() any { return pick([]any{0, uint32(math.MaxUint32)}, []any{-1, 1 << 32, "1"}) }, "program": text, "object": text,
					})
				})}
			},
			"maps": func() any {
				return map[string]any{"m": list(func() any {
					return object(2, []string{"key", "value"}, map[string]func() any{"key": datum, "value": datum})
				})}
			},
		})
	}
	seconds := func() any { return pick([]any{1, 86400}, []any{0, -1, 86401, 1.5, "60s"}) }
	return object(0, []string{"interfaces", "confirm", "guard", "guard-interval", "guard-timeout", "guard-drops", "guard-before"}, map[string]func() any{
		"confirm": seconds, "guard-interval": seconds, "guard-timeout": seconds, "guard-before": seconds,
		"guard":       func() any { return pick([]any{"ping -c 1 192.0.2.1", " a"}, []any{" \t"}) },
		"guard-drops": func() any { return pick([]any{0, 100}, []any{-1, 101, 1.5, "5%"}) },
		"interfaces": func() any {
			return list(func() any {
				return object(1, []string{"name", "mode", "programs"}, map[string]func() any{
					"name":     func() any { return pick([]any{"eth0", "eth*", "eth[0-9]"}, nil) },
					"mode":     func() any { return pick([]any{"native", "skb", "unspecified"}, []any{"hw", "Native"}) },
					"programs": func() any { return list(program) },
				})
			})
		}})
}

// TestSchemaProperties: the schema takes just what the reader takes, whatever stands
// in a file, as JSON and as YAML.
func TestSchemaProperties(t *testing.T) {
	schema := schema(t)
	taken := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		asJSON, err := json.Marshal(genDocument(t))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
		if err != nil {
			t.Fatal(err)
		}
		var node yaml.Node
		if err := yaml.Load(asJSON, &node); err != nil {
			t.Fatal(err)
		}
		spread(&node)
		asYAML, err := yaml.Dump(&node)
		if err != nil {
			t.Fatal(err)
		}
		says := schema.Validate(doc)
		for _, file := range [][]byte{asJSON, asYAML} {
			if _, err := parse("f", file); (err == nil) != (says == nil) {
				t.Fatalf("%s\nthe reader says: %v\nthe schema says: %v", file, err, says)
			}
		}
		taken[says == nil]++
	})
	if taken[true] < 10 || taken[false] < 10 {
		t.Errorf("documents taken: %v", taken)
	}
}
