package desired

import "unicode/utf8"

// Overlap says whether there can be an interface that both names stand for, each a name or a
// pattern as [Interface] has it. A pattern that isn't one (path.ErrBadPattern) stands for none.
func Overlap(a, b string) bool {
	x, okX := pieces(a)
	y, okY := pieces(b)
	if !okX || !okY {
		return false
	}
	// seen[i][j]: from x[i:] and y[j:] on it was tried.
	seen := make([][]bool, len(x)+1)
	for i := range seen {
		seen[i] = make([]bool, len(y)+1)
	}
	var meet func(i, j int) bool
	meet = func(i, j int) bool {
		if seen[i][j] {
			return false
		}
		seen[i][j] = true
		switch {
		case i == len(x) && j == len(y):
			return true
		case i < len(x) && x[i].star:
			return meet(i+1, j) || j < len(y) && meet(i, j+1)
		case j < len(y) && y[j].star:
			return meet(i, j+1) || i < len(x) && meet(i+1, j)
		case i < len(x) && j < len(y):
			return x[i].meets(y[j]) && meet(i+1, j+1)
		}
		return false
	}
	return meet(0, 0)
}

// piece is what stands for one character of a name, or for any number of them.
type piece struct {
	star   bool
	not    bool      // any but those
	ranges [][2]rune // from, to
}

// pieces cuts a pattern of path.Match.
func pieces(pattern string) (all []piece, ok bool) {
	next := func() (r rune) {
		if len(pattern) == 0 {
			return utf8.RuneError
		}
		r, n := utf8.DecodeRuneInString(pattern)
		pattern = pattern[n:]
		return r
	}
	for len(pattern) > 0 {
		switch r := next(); r {
		case '*':
			all = append(all, piece{star: true})
		case '?':
			all = append(all, piece{not: true})
		case '\\':
			if len(pattern) == 0 {
				return nil, false
			}
			r = next()
			all = append(all, piece{ranges: [][2]rune{{r, r}}})
		case '[':
			p := piece{}
			if len(pattern) > 0 && pattern[0] == '^' {
				p.not = true
				next()
			}
			for len(pattern) > 0 && (pattern[0] != ']' || len(p.ranges) == 0) {
				bound := func() (r rune, ok bool) {
					if r = next(); r == '\\' {
						return next(), true
					}
					return r, r != '-' && r != ']' && r != utf8.RuneError
				}
				from, okFrom := bound()
				to, okTo := from, true
				if len(pattern) > 0 && pattern[0] == '-' {
					next()
					to, okTo = bound()
				}
				if !okFrom || !okTo {
					return nil, false
				}
				p.ranges = append(p.ranges, [2]rune{from, to})
			}
			if len(pattern) == 0 {
				return nil, false
			}
			next()
			all = append(all, p)
		default:
			all = append(all, piece{ranges: [][2]rune{{r, r}}})
		}
	}
	return all, true
}

// has says whether the piece stands for a character.
func (p piece) has(r rune) bool {
	for _, span := range p.ranges {
		if span[0] <= r && r <= span[1] {
			return !p.not
		}
	}
	return p.not
}

// meets says whether both pieces stand for some character. Whether one does changes only where a
// range begins, and behind its end.
func (p piece) meets(o piece) bool {
	candidates := []rune{1, '0'} // '0' follows '/', which is in no name
	for _, span := range append(p.ranges[:len(p.ranges):len(p.ranges)], o.ranges...) {
		candidates = append(candidates, span[0], span[1]+1)
	}
	for _, r := range candidates {
		if r != '/' && p.has(r) && o.has(r) {
			return true
		}
	}
	return false
}
