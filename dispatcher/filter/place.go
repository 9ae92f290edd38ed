package filter

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/xdpmux/xdpmux/cgo/libpcap"
	"github.com/xdpmux/xdpmux/dispatcher/internal/classic"
)

// Error says what is wrong with a filter, and where.
type Error struct {
	Filter string
	At     int    // where in Filter the first wrong word begins, in bytes; its length: it ends too soon
	Word   string // the wrong word; empty: all of it together, or that it ends
	Reason string // in libpcap's words, or ours
}

func (e *Error) Error() string {
	switch {
	case e.Word != "":
		return fmt.Sprintf("filter %q: %q, from character %d on: %s", e.Filter, e.Word, utf8.RuneCountInString(e.Filter[:e.At])+1, e.Reason)
	case e.At == len(e.Filter):
		return fmt.Sprintf("filter %q ends too soon", e.Filter)
	}
	return fmt.Sprintf("filter %q: %s", e.Filter, e.Reason)
}

// tokens are the words of the language, its brackets and its operators.
var tokens = regexp.MustCompile(`[()\[\]]|&&|\|\||[=!<>]=|<<|>>|[=!<>&|+*%^]|[^\s()\[\]=!<>&|+*%^]+`)

// endings complete the beginnings of right filters: each of these with one of them, and with the
// brackets that are open, is a right filter. So a beginning that none completes is wrong.
var endings = []string{"", " ip", " 1", " or arp", " port 1", " 1.2.3.4", " host 1.2.3.4", " 1-2", " 255.255.255.0", " 00:00:00:00:00:00",
	" proto 6", " \\ip", " \\tcp", "0] = 1", "] = 1", " len = 1", " = 1", " 1 = 1", " len", " 1 = len", " ::1"}

// find finds the first word with which no filter goes on as words does. err is what is wrong with
// words.
func find(words string, err error) *Error {
	e := &Error{Filter: words, Reason: reason(err)}
	places := tokens.FindAllStringIndex(words, -1)
	// A name that is unknown stands in quotes in what libpcap says.
	if _, quoted, ok := strings.Cut(e.Reason, " '"); ok {
		name := strings.TrimSuffix(quoted, "'")
		for _, p := range places {
			if words[p[0]:p[1]] == name && strings.HasPrefix(e.Reason, "unknown ") {
				e.At, e.Word = p[0], name
				return e
			}
		}
	}
	for _, p := range places {
		if beginning := words[:p[1]]; !completable(beginning) {
			e.At, e.Word = p[0], words[p[0]:p[1]]
			if _, err := compile(beginning + brackets(beginning)); err != nil && reason(err) != syntax {
				e.Reason = reason(err)
			}
			return e
		}
	}
	if e.Reason == syntax {
		e.At = len(words)
	}
	return e
}

// completable says whether a filter begins so.
func completable(beginning string) bool {
	for _, ending := range endings {
		if _, err := compile(beginning + ending + brackets(beginning)); err == nil {
			return true
		}
	}
	return false
}

// brackets close those that are open.
func brackets(words string) string {
	return strings.Repeat(")", max(0, strings.Count(words, "(")-strings.Count(words, ")")))
}

// syntax is our word for the error of libpcap's parser.
const syntax = "it can't stand there"

func reason(err error) string {
	failed := new(libpcap.Error)
	switch {
	case errors.Is(err, classic.ErrLoop):
		return "it makes a loop, which a filter in the kernel can't"
	case errors.Is(err, classic.ErrMetadata):
		return "XDP knows nothing of a packet but its bytes and its length"
	case errors.Is(err, classic.ErrLong):
		return "it is too long for the kernel"
	case errors.As(err, &failed) && strings.Contains(failed.Text, "syntax error"):
		return syntax
	case errors.As(err, &failed) && failed.Text == "expression rejects all packets":
		return "no packet is like that"
	}
	return err.Error()
}
