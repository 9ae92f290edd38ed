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

// place is that of the line's record, without decoding the record: a text in it has no quotes but
// behind a backslash.
func (l line) place() (p place, ok bool) {
	_, rest, _ := bytes.Cut(l, []byte(`"interface":{`))
	index, rest := cut(rest, `"index":`, '}')
	netns, rest := cut(rest, `"netns":`, ',')
	var errIndex, errNetns, errCookie error
	if bytes.HasPrefix(rest, []byte(`"netns_cookie":`)) {
		var cookie []byte
		cookie, rest = cut(rest, `"netns_cookie":`, ',')
		p.cookie, errCookie = strconv.ParseUint(string(cookie), 10, 64)
	}
	boot, _ := cut(rest, `"boot":"`, '"')
	p.index, errIndex = strconv.Atoi(string(index))
	p.netns, errNetns = strconv.ParseUint(string(netns), 10, 64)
	p.boot = string(boot)
	return p, errIndex == nil && errNetns == nil && errCookie == nil
}

// cut is what comes between key and end, and what comes after that.
func cut(text []byte, key string, end byte) (value, rest []byte) {
	_, text, _ = bytes.Cut(text, []byte(key))
	value, rest, _ = bytes.Cut(text, []byte{end})
	return value, rest
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
		n.lines[number], n.numbers = bytes.Clone(l), append(n.numbers, number)
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
