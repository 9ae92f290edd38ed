package output

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestShown(t *testing.T) {
	for text, want := range map[string]string{
		"xdp_pass":              "xdp_pass",
		`a "b" \c`:              `a "b" \c`,
		"naïve 程序 😀":            "naïve 程序 😀",
		"\x1b[31mred":           `\x1b[31mred`,
		"two\nlines\tand\r":     `two\nlines\tand\r`,
		"\u202edlrow\u2066":     `\u202edlrow\u2066`,
		"\u009b2J":              `\u009b2J`,
		"\x9b2J\xff":            `\x9b2J\xff`,
		"\x7f\x00'":             `\x7f\x00'`,
		"\u2028 \u00a0":         `\u2028 \u00a0`,
		"\U000e0041":            `\U000e0041`,
		"real \ufffd character": "real \ufffd character",
	} {
		if got := Shown(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

// FuzzShown has no text bring anything to a terminal that this can't print, nor one
// that it can be changed.
func FuzzShown(f *testing.F) {
	f.Add("\x1b[31m\u202e\xff'\n")
	f.Fuzz(func(t *testing.T, text string) {
		got := Shown(text)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !strconv.IsPrint(r) }) {
			t.Errorf("%q is shown as %q", text, got)
		}
		if Printable(text) && got != text {
			t.Errorf("%q is printable and shown as %q", text, got)
		}
		var b bytes.Buffer
		must(t, NewJSON(&b).Encode(map[string]string{text: text}))
		if document := strings.TrimSuffix(b.String(), "\n"); strings.ContainsFunc(document, func(r rune) bool { return !strconv.IsPrint(r) }) {
			t.Errorf("%q is %q in JSON", text, document)
		}
		var back map[string]string
		must(t, json.Unmarshal(b.Bytes(), &back))
		want := strings.ToValidUTF8(text, "\ufffd")
		for _, value := range back {
			if utf8.ValidString(text) && value != want {
				t.Errorf("%q comes back from JSON as %q", text, value)
			}
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
