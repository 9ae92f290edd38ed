package output

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Shown is text from outside as a terminal may show it. It escapes, as in a Go string, what
// can't be printed: escape sequences, line ends, changes of the writing direction, bytes
// that are no UTF-8. Names come from whoever loads a program, makes an interface or hands
// over a file.
func Shown(text string) string {
	if Printable(text) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case strconv.IsPrint(r):
			b.WriteString(text[:size])
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		text = text[size:]
	}
	return b.String()
}

// Printable says whether a terminal can print the text.
func Printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) })
}

// ShownAll is [Shown] for each text.
func ShownAll(texts []string) []string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = Shown(text)
	}
	return all
}
