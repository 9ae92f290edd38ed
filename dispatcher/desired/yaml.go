package desired

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// YAML returns the state as the text of a file, as [YAML] has it.
func (s *State) YAML() ([]byte, error) { return YAML(s) }

// YAML returns what package json makes of v as YAML, in which everything can be printed: the rest
// is escaped. It fails if a text isn't UTF-8, which neither YAML nor JSON can hold.
func YAML(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
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

// spread takes JSON's brackets away. It takes the quotes of a text away if the text can be
// printed as it is, and is read as nothing else without them, also by the YAML 1.1 of others.
func spread(n *yaml.Node) {
	quoted := n.Style&yaml.DoubleQuotedStyle != 0
	if n.Style = 0; quoted && (kindOf(n) != aText || oldBoolean().MatchString(n.Value) || strings.ContainsFunc(n.Value, unprintable)) {
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

// escape escapes what YAML takes as it is, but a terminal can't print. All of that stands in
// double quotes, where Go's escapes are YAML's too.
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
