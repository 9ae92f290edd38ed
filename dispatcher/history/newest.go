package history

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
)

// place is an interface of one network namespace of one boot.
type place struct {
	boot   string
	netns  uint64
	cookie uint64
	index  int
}

func (r *Record) place() place { return place{r.Boot, r.Netns, r.NetnsCookie, r.Interface.Index} }

// place is that of the line's record, but for the cookie, without decoding the record: a text in it
// has no quotes but behind a backslash.
func (l line) place() (p place, ok bool) {
	after := func(text []byte, key string, end byte) (value, rest []byte) {
		_, text, _ = bytes.Cut(text, []byte(key))
		value, rest, _ = bytes.Cut(text, []byte{end})
		return value, rest
	}
	_, rest, _ := bytes.Cut(l, []byte(`"interface":{`))
	index, rest := after(rest, `"index":`, '}')
	netns, rest := after(rest, `"netns":`, ',')
	boot, _ := after(rest, `"boot":"`, '"')
	var errIndex, errNetns error
	p.index, errIndex = strconv.Atoi(string(index))
	p.netns, errNetns = strconv.ParseUint(string(netns), 10, 64)
	p.boot = string(boot)
	return p, errIndex == nil && errNetns == nil
}

// underWayAtOnce is how many lines of one interface matter. Of each process that is
// about to change it there is one after the end of the change before.
const underWayAtOnce = 32

// newest finds the newest record of an interface that knows what runs there, but for the one of
// number except. It is what records of lines has, without decoding all.
type newest struct {
	of                 place
	except             int
	boot, index, netns []byte // what its lines have
	numbers            []int
	lines              map[int]line // by their numbers
	seen               int
}

func newestOf(p place, except int) *newest {
	return &newest{of: p, except: except, lines: map[int]line{},
		boot: fmt.Appendf(nil, `"boot":%q`, p.boot), index: fmt.Appendf(nil, `"index":%d}`, p.index), netns: fmt.Appendf(nil, `"netns":%d,`, p.netns)}
}

// look takes a line that comes before those it has had. more is whether one before that can matter.
func (n *newest) look(l line) (more bool) {
	if !bytes.Contains(l, n.boot) || !bytes.Contains(l, n.index) || !bytes.Contains(l, n.netns) {
		return true
	}
	if number := l.number(); number != 0 && number != n.except && n.lines[number] == nil {
		n.lines[number], n.numbers = l, append(n.numbers, number)
	}
	n.seen++
	return n.seen < underWayAtOnce
}

// record is what was found; nil: there is none.
func (n *newest) record() *Record {
	slices.Sort(n.numbers)
	for _, number := range slices.Backward(n.numbers) {
		if r := n.lines[number].record(); r != nil && r.place() == n.of && r.After != nil {
			return r
		}
	}
	return nil
}
