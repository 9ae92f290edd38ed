package desired

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// valueLimit is how many values a file may have. A value counts as often as aliases name it:
// with aliases a few lines can stand for more than memory holds.
const valueLimit = 1 << 20

// reader reads the nodes of a file strictly: nothing is converted or left out, and
// every error names its line and column.
type reader struct {
	ctx    context.Context
	file   string
	values int // read so far
}

// follow is the node itself, behind aliases. Each node that is read comes through here
// once at least.
func (r *reader) follow(n *yaml.Node) (*yaml.Node, error) {
	r.values++
	if r.values > valueLimit {
		return nil, r.wrong(n, "more than %d values, those of aliases included, are too many for a state", valueLimit)
	}
	if r.values%1024 == 0 && r.ctx.Err() != nil {
		return nil, r.ctx.Err()
	}
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Style&yaml.TaggedStyle != 0 {
		err := r.wrong(n, "tags such as %s are not understood", n.Tag)
		err.Remedy = `leave it out; "..." makes anything a text`
		return nil, err
	}
	return n, nil
}

// where is the place of a node: "file:line:column".
func (r *reader) where(n *yaml.Node) string {
	return fmt.Sprintf("%s:%d:%d", r.file, n.Line, n.Column)
}

func (r *reader) wrong(n *yaml.Node, format string, args ...any) *xdp.Error {
	return invalid(r.where(n), format, args...)
}

// unlike says that a node is of the wrong kind.
func (r *reader) unlike(n *yaml.Node, wanted string) error {
	is, err := r.follow(n)
	if err != nil {
		return err
	}
	k := kindOf(is)
	if k == aNumber || k == aRiddle {
		return r.number(n, is, wanted)
	}
	return r.wrong(n, "%s is wanted here, and this is %s", wanted, k)
}

// number explains a number that can't stand there.
func (r *reader) number(n, is *yaml.Node, wanted string) error {
	if kindOf(is) == aNumber {
		return r.wrong(n, "%s is wanted here, and this is a number", wanted)
	}
	err := r.wrong(n, "%s can be read in several ways", is.Value)
	err.Remedy = fmt.Sprintf("a number is written in decimal without zeros before it, or as 0x10; a text or bytes in quotes: %q", is.Value)
	return err
}

// kind is what a value is, in words.
type kind string

const (
	anObject kind = "an object"
	aList    kind = "a list"
	aText    kind = "a text"
	aWhole   kind = "a whole number"
	aNumber  kind = "a number"
	aRiddle  kind = "a number that can be read in several ways"
	aBool    kind = "true or false"
	nothing  kind = "nothing"
)

// What is not in quotes is a text, unless it matches one of these. They are the words and
// numbers of YAML 1.2, and what older versions or people may read as another number, or as
// bytes: 010 is 8 for YAML 1.1 and 10 for people, 0b11 and 12e4 may mean bytes.
var (
	wholeNumber = pattern(`^([-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+)$`)
	riddle      = pattern(`^[-+]?(0[0-9_]+|[0-9][0-9_]*_[0-9_]*|0b[01]+|[0-9]+[eE][0-9]+)$`)
	otherNumber = pattern(`^[-+]?((\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|\.inf|\.Inf|\.INF)$|^(\.nan|\.NaN|\.NAN)$`)
	boolean     = pattern(`^(true|True|TRUE|false|False|FALSE)$`)
	oldBoolean  = pattern(`^(?i:y|yes|n|no|on|off)$`) // of YAML 1.1
	null        = pattern(`^(null|Null|NULL|~|)$`)
)

// pattern compiles an expression when it is asked for: most commands read no state, and
// start sooner so.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// longestNumber has the digits of any number that can stand in a file, and more.
const longestNumber = 40

func kindOf(n *yaml.Node) kind {
	const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	switch v := n.Value; {
	case n.Kind == yaml.MappingNode:
		return anObject
	case n.Kind == yaml.SequenceNode:
		return aList
	case n.Style&quoted != 0:
		return aText
	case null().MatchString(v):
		return nothing
	case boolean().MatchString(v):
		return aBool
	case wholeNumber().MatchString(v) && len(v) <= longestNumber:
		return aWhole
	case riddle().MatchString(v):
		return aRiddle
	case wholeNumber().MatchString(v), otherNumber().MatchString(v):
		return aNumber
	}
	return aText
}

// each calls f for each key and value of an object.
func (r *reader) each(n *yaml.Node, f func(key, value *yaml.Node) error) error {
	m, err := r.follow(n)
	if err != nil {
		return err
	}
	if m.Kind != yaml.MappingNode {
		return r.unlike(n, "an object")
	}
	seen := map[string]*yaml.Node{}
	for i := 0; i < len(m.Content); i += 2 {
		key, value := m.Content[i], m.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Style&yaml.TaggedStyle != 0 {
			return r.wrong(key, "a key has to be a text")
		}
		if first := seen[key.Value]; first != nil {
			return r.wrong(key, "key %q stands there twice, first at %s", key.Value, r.where(first))
		}
		seen[key.Value] = key
		if err := f(key, value); err != nil {
			return err
		}
	}
	return nil
}

// keys are those of an object, with what reads their values.
type keys map[string]func(*yaml.Node) error

func (k keys) names() []string {
	var names []string
	for name := range k {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// object reads an object that has no other keys, and at least the required ones.
func (r *reader) object(n *yaml.Node, known keys, required ...string) error {
	err := r.each(n, func(key, value *yaml.Node) error {
		name := key.Value
		read := known[name]
		if read == nil {
			err := r.wrong(key, "unknown key %q", name)
			err.Remedy = "keys that can stand there: " + strings.Join(known.names(), ", ")
			return err
		}
		required = slices.DeleteFunc(required, func(s string) bool { return s == name })
		return read(value)
	})
	if err == nil && len(required) > 0 {
		return r.wrong(n, "key %q is missing", required[0])
	}
	return err
}

// list reads a list.
func (r *reader) list(element func(*yaml.Node) error) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		list, err := r.follow(n)
		if err != nil {
			return err
		}
		if list.Kind != yaml.SequenceNode {
			return r.unlike(n, "a list")
		}
		for _, e := range list.Content {
			if err := element(e); err != nil {
				return err
			}
		}
		return nil
	}
}

// scalar is the value of a node of that kind.
func (r *reader) scalar(n *yaml.Node, wanted kind) (string, error) {
	is, err := r.follow(n)
	if err != nil {
		return "", err
	}
	if kindOf(is) != wanted {
		return "", r.unlike(n, string(wanted))
	}
	return is.Value, nil
}

// text reads a text that isn't empty. check, if there is one, says what is wrong
// with it.
func (r *reader) text(into *string, check func() error) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		s, err := r.scalar(n, aText)
		if err != nil {
			return err
		}
		if s == "" {
			return r.wrong(n, "this must not be empty")
		}
		*into = s
		if check == nil {
			return nil
		}
		err = check()
		var e *xdp.Error
		if errors.As(err, &e) {
			return locate(r.where(n), e)
		}
		if err != nil {
			return r.wrong(n, "%q: %v", s, err)
		}
		return nil
	}
}

// integer is a whole number, in decimal.
func (r *reader) integer(n *yaml.Node) (json.Number, error) {
	s, err := r.scalar(n, aWhole)
	if err != nil {
		return "", err
	}
	i, ok := new(big.Int).SetString(s, 0)
	if !ok {
		return "", r.unlike(n, string(aWhole))
	}
	return json.Number(i.String()), nil
}

func (r *reader) boolean(n *yaml.Node) (bool, error) {
	s, err := r.scalar(n, aBool)
	return strings.EqualFold(s, "true"), err
}
