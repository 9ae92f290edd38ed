package desired

import (
	"path"
	"strings"
)

// The characters that mean something in a pattern (path.Match).
const patternCharacters = `*?[\`

// QuotePattern is the pattern that matches an interface's name and nothing else.
func QuotePattern(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		if strings.IndexByte(patternCharacters, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// pattern says whether the name stands for all that match it (path.Match).
func (i Interface) pattern() bool {
	_, one := literal(i.Name)
	return !one
}

// stands says whether the name stands for an interface.
func (i Interface) stands(ifname string) bool {
	if !i.pattern() {
		return i.literal() == ifname
	}
	ok, err := path.Match(i.Name, ifname)
	return ok && err == nil
}

// literal is the name of an interface without pattern.
func (i Interface) literal() string {
	name, _ := literal(i.Name)
	return name
}

// literal is the name that a pattern without wildcards stands for.
func literal(pattern string) (name string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '\\' && i+1 < len(pattern):
			i++
			c = pattern[i]
		case strings.IndexByte(patternCharacters, c) >= 0:
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), true
}
