package desired

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// reader reads the nodes of a file strictly: nothing is converted or left out, and
// every error names its line and column.
type reader struct {
	file    string
	anchors map[string]ast.Node
}

func newReader(file string, root ast.Node) *reader {
	r := &reader{file: file, anchors: map[string]ast.Node{}}
	ast.Walk(r, root)
	return r
}

// Visit notes the anchors, for ast.Walk.
func (r *reader) Visit(n ast.Node) ast.Visitor {
	if anchor, ok := n.(*ast.AnchorNode); ok {
		r.anchors[anchor.Name.GetToken().Value] = anchor.Value
	}
	return r
}

// follow is the node itself, behind anchors, aliases and block scalars.
func (r *reader) follow(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.AnchorNode:
		return n.Value
	case *ast.AliasNode:
		if there := r.anchors[n.Value.GetToken().Value]; there != nil {
			return there
		}
	case *ast.LiteralNode:
		return n.Value
	}
	return n
}

// where is the place of a node: "file:line:column".
func (r *reader) where(n ast.Node) string {
	token := n.GetToken()
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		token = m.Values[0].Key.GetToken() // its own is the first colon
	}
	return fmt.Sprintf("%s:%d:%d", r.file, token.Position.Line, token.Position.Column)
}

func (r *reader) wrong(n ast.Node, format string, args ...any) *dispatcher.Error {
	return invalid(r.where(n), format, args...)
}

// unlike says that a node is of the wrong kind.
func (r *reader) unlike(n ast.Node, wanted string) error {
	return r.wrong(n, "%s is wanted here, and this is %s", wanted, kindOf(r.follow(n)))
}

func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode:
		return "an object"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode:
		return "a text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.NullNode:
		return "nothing"
	}
	return "something else"
}

// each calls f for each key and value of an object.
func (r *reader) each(n ast.Node, f func(key, value ast.Node) error) error {
	m, ok := r.follow(n).(*ast.MappingNode)
	if !ok {
		return r.unlike(n, "an object")
	}
	for _, pair := range m.Values {
		if err := f(pair.Key, pair.Value); err != nil {
			return err
		}
	}
	return nil
}

// object reads an object that has no other keys, and at least the required ones.
func (r *reader) object(n ast.Node, known keys, required ...string) error {
	err := r.each(n, func(key, value ast.Node) error {
		name := key.GetToken().Value
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
func (r *reader) list(element func(ast.Node) error) func(ast.Node) error {
	return func(n ast.Node) error {
		list, ok := r.follow(n).(*ast.SequenceNode)
		if !ok {
			return r.unlike(n, "a list")
		}
		for _, e := range list.Values {
			if err := element(e); err != nil {
				return err
			}
		}
		return nil
	}
}

// text reads a text that isn't empty. check, if there is one, says what is wrong
// with it.
func (r *reader) text(into *string, check func() error) func(ast.Node) error {
	return func(n ast.Node) error {
		s, ok := r.follow(n).(*ast.StringNode)
		if !ok {
			return r.unlike(n, "a text")
		}
		if s.Value == "" {
			return r.wrong(n, "this must not be empty")
		}
		*into = s.Value
		if check == nil {
			return nil
		}
		err := check()
		var e *dispatcher.Error
		if errors.As(err, &e) {
			return locate(r.where(n), e)
		}
		if err != nil {
			return r.wrong(n, "%q: %v", s.Value, err)
		}
		return nil
	}
}

func (r *reader) integer(n ast.Node) (json.Number, error) {
	i, ok := r.follow(n).(*ast.IntegerNode)
	if !ok {
		return "", r.unlike(n, "a whole number")
	}
	return json.Number(fmt.Sprint(i.Value)), nil
}

func (r *reader) boolean(n ast.Node) (bool, error) {
	b, ok := r.follow(n).(*ast.BoolNode)
	if !ok {
		return false, r.unlike(n, "true or false")
	}
	return b.Value, nil
}
