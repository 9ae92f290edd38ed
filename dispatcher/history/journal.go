package history

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	systemd "github.com/coreos/go-systemd/v22/journal"
	"golang.org/x/sys/unix"
)

// MessageID is the MESSAGE_ID of all records in systemd's journal.
const MessageID = "5e0b1a5c3f9f4a6c9d0e7b42c8a1f36d"

// journalSocket is where package journal sends to.
const journalSocket = "/run/systemd/journal/socket"

// journalLimit is how long a journal may keep a change waiting.
const journalLimit = time.Second

// journal hands a record to systemd's journal, if there is one: one entry, with the fields of
// systemd.journal-fields(7) and XDPMUX_RECORD, the record in JSON.
func journal(r *Record) {
	if unix.Access(journalSocket, unix.W_OK) != nil {
		return
	}
	text, err := json.Marshal(r)
	if err != nil {
		return
	}
	fields := map[string]string{
		"MESSAGE_ID":        MessageID,
		"SYSLOG_IDENTIFIER": "xdpmux",
		"XDPMUX_NUMBER":     strconv.Itoa(r.Number),
		"XDPMUX_INTERFACE":  r.Interface.Name,
		"XDPMUX_OUTCOME":    string(r.Outcome),
		"XDPMUX_RECORD":     string(text),
	}
	priority := systemd.PriNotice
	if r.Outcome == Failed || r.Outcome == Interrupted {
		priority = systemd.PriWarning
	}
	// A journal that hangs takes nothing, and the change is made.
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_ = systemd.Send(r.String(), priority, fields)
	}()
	select {
	case <-sent:
	case <-time.After(journalLimit):
	}
}

// String is the record in one line, such as "eth0: done: xdpmux load eth0 filter.o".
func (r *Record) String() string {
	what := strings.Join(r.Command, " ")
	if r.Outcome == Found {
		what = "changed by another tool"
	}
	text := fmt.Sprintf("%s: %s: %s", r.Interface.Name, r.Outcome, what)
	for _, more := range []string{r.Why, r.Error} {
		if more != "" {
			text += ": " + more
		}
	}
	return text
}
