package history

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// states reads what the records of many interfaces say of what runs there. Mostly it is the same programs,
// under another dispatcher: it decodes what differs from the chain before.
type states struct {
	last       *Chain
	head, tail []byte // the JSON of last, before and after the number of its dispatcher; without one all is in head
}

// state reads of the record of a line what tells where and how its change has ended: Number, Outcome, place, and
// After. A record that is under way is read whole. nil: the line is damaged.
func (s *states) state(l line) *Record {
	_, text, ok := l.fields()
	if !ok {
		return nil
	}
	outcome, _ := cut(text, `"outcome":"`, '"')
	p, ok := line(text).place()
	if !ok || string(outcome) == string(UnderWay) {
		return l.record()
	}
	r := &Record{Number: numberOf(text), Outcome: Outcome(outcome), Interface: xdp.Interface{Index: p.index},
		Boot: p.boot, Netns: p.netns, NetnsCookie: p.cookie}
	_, after, ok := bytes.Cut(text, []byte(`,"after":`))
	if !ok {
		return r
	}
	after, _, ok = bytes.Cut(after, []byte(`,"saved":`))
	if !ok {
		after = bytes.TrimSuffix(after, []byte{'}'}) // of the record
	}
	if r.After = s.chain(after); r.After == nil {
		return nil
	}
	return r
}

// chain reads a chain in JSON. nil: it isn't one.
func (s *states) chain(text []byte) *Chain {
	const key = `"dispatcher":`
	head, number, tail := text, []byte("0"), []byte(nil)
	if at := bytes.Index(text, []byte(key)); at >= 0 {
		at += len(key)
		end := at + max(0, bytes.IndexByte(text[at:], ','))
		head, number, tail = text[:at], text[at:end], text[end:]
	}
	id, err := strconv.ParseUint(string(number), 10, 32)
	if err != nil {
		return nil
	}
	if s.last != nil && bytes.Equal(head, s.head) && bytes.Equal(tail, s.tail) {
		chain := *s.last
		chain.Dispatcher = uint32(id)
		return &chain
	}
	var chain Chain
	if json.Unmarshal(text, &chain) != nil {
		return nil
	}
	s.last, s.head, s.tail = &chain, bytes.Clone(head), bytes.Clone(tail)
	return &chain
}
