package output

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// PrintJSON prints a document on standard output.
func (o *Printer) PrintJSON(v any) error { return PrintJSON(o.Stdout, v) }

// PrintJSON writes a document, indented for readers.
func PrintJSON(w io.Writer, v any) error {
	enc := NewJSON(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// NewJSON writes each document in one line. It escapes what a terminal can't print, and
// not < and >, which encoding/json does.
func NewJSON(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(jsonWriter{w})
	enc.SetEscapeHTML(false)
	return enc
}

// JSONWriter escapes what a terminal can't print, and writes to w. It takes whole
// documents, or parts that don't end within a character.
func JSONWriter(w io.Writer) io.Writer { return jsonWriter{w} }

// jsonWriter escapes what [Shown] does and encoding/json leaves as it is.
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
