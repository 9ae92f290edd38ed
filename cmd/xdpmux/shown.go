package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// shown is text from outside as a terminal may show it: what can't be printed, such as
// an escape sequence, a line's end, a change of the writing direction or a byte that is
// no UTF-8, is escaped as in a Go string. Names come from whoever loads a program,
// makes an interface or hands over a file.
func shown(text string) string {
	if printable(text) {
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

// printable says whether a terminal can print the text.
func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) })
}

// shownAll is shown for each of several.
func shownAll(texts []string) []string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = shown(text)
	}
	return all
}

// jsonWriter takes whole JSON documents, or parts that end outside of a character. It
// escapes what shown does and encoding/json leaves as it is.
type jsonWriter struct{ w io.Writer }

func (j jsonWriter) Write(document []byte) (int, error) {
	escaped := document
	copied := 0 // bytes of document that are in escaped, once that is another slice
	for at := 0; at < len(document); {
		if document[at] < 0x7f {
			at++
			continue
		}
		r, size := utf8.DecodeRune(document[at:])
		if !strconv.IsPrint(r) {
			if copied == 0 {
				escaped = nil
			}
			escaped = appendJSONRune(append(escaped, document[copied:at]...), r)
			copied = at + size
		}
		at += size
	}
	if copied > 0 {
		escaped = append(escaped, document[copied:]...)
	}
	if _, err := j.w.Write(escaped); err != nil {
		return 0, err
	}
	return len(document), nil
}

// appendJSONRune escapes a character of a JSON string.
func appendJSONRune(b []byte, r rune) []byte {
	if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
		return fmt.Appendf(b, `\u%04x\u%04x`, high, low)
	}
	return fmt.Appendf(b, `\u%04x`, r)
}
