package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// A mark is what the payload's script says to this program, in the same stream as
// the payload's own output so that both keep their order: a control character and
// a word that no payload can know, then a line.
type mark struct {
	kind   string
	suite  int // of markStart and markExit
	status int // of markExit
}

const (
	markBoot  = "boot"  // the VM is up
	markStart = "start" // a suite or the command starts
	markExit  = "exit"  // ... and has ended
	markDone  = "done"  // nothing comes any more
)

func newNonce() (string, error) {
	b := make([]byte, 8)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return hex.EncodeToString(b), nil
}

// payloadScript is the shell script that the VM's init runs.
func payloadScript(o options, cards []cards, suites []suite, skip []string, nonce string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "mark() { printf '\\036%s %%s\\n' \"$*\"; }\n", nonce)
	fmt.Fprintln(&s, "export XDPMUX_KERNEL_TESTS=1 XDPMUX=/usr/bin/xdpmux")
	for _, env := range os.Environ() {
		if name, value, _ := strings.Cut(env, "="); strings.HasPrefix(name, "XDPMUX_TEST_") {
			fmt.Fprintf(&s, "export %s=%s\n", name, quote(value))
		}
	}
	s.WriteString(loadCards(cards, o.command != nil))
	if o.userNet {
		s.WriteString(userNetScript())
	}
	fmt.Fprintln(&s, "cd /repo; mark", markBoot)
	if o.command != nil {
		fmt.Fprintln(&s, "mark", markStart, 0)
		for i, arg := range o.command {
			if i > 0 {
				s.WriteByte(' ')
			}
			s.WriteString(quote(arg))
		}
		fmt.Fprintln(&s, "\nmark", markExit, 0, "$?")
	}
	if len(suites) > 0 {
		// A test that hangs is best told by itself, with its stacks, so it gets a
		// little less than what the VM has left.
		limit := o.timeout - min(o.timeout/5, 30*time.Second)
		fmt.Fprintf(&s, "left() { read -r up _ </proc/uptime; left=$((%d - ${up%%%%.*})); [ $left -gt 0 ] || left=1; }\n", int(limit.Seconds()))
	}
	for _, suite := range suites {
		args := []string{suite.guestBinary(), "-test.v=test2json", "-test.count=" + strconv.Itoa(o.count)}
		if o.run != "" {
			args = append(args, "-test.run="+o.run)
		}
		if tests := testNames(skip); len(tests) > 0 {
			args = append(args, "-test.skip=^("+strings.Join(tests, "|")+")$")
		}
		if o.bench != "" {
			args = append(args, "-test.bench="+o.bench)
		}
		for i := range args {
			args[i] = quote(args[i])
		}
		// The kernel's argument suites is a variable here: which of them this VM runs. Each begins
		// without a history: that of the one before is of interfaces with the same names.
		fmt.Fprintf(&s, "case ,$suites, in *,%[1]d,*)\nrm -rf /var/lib/xdpmux; cd %[2]s; left; mark %[3]s %[1]d\n%[4]s -test.timeout=${left}s\nmark %[5]s %[1]d $?\n;; esac\n",
			suite.n, quote(suite.guestDir()), markStart, strings.Join(args, " "), markExit)
	}
	fmt.Fprintln(&s, "mark", markDone)
	return s.String()
}

// quote makes one word of the shell out of any string.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// errNoDone says that the payload's stream ended before its last mark.
var errNoDone = errors.New("the VM ended before its payload did")

// readPayload takes the payload's stream apart: output goes to text, byte for byte
// and without waiting for the end of a line, marks go to marked. It returns nil at
// the mark "done" and errNoDone if the stream ends before.
func readPayload(r io.Reader, nonce string, text io.Writer, marked func(mark)) error {
	start := []byte("\x1e" + nonce + " ")
	chunk := make([]byte, 32<<10)
	var held []byte // not yet known to be output or mark
	for {
		n, readErr := r.Read(chunk)
		held = append(held, chunk[:n]...)
		for {
			at := bytes.Index(held, start)
			if at < 0 {
				break
			}
			if _, err := text.Write(held[:at]); err != nil {
				return err
			}
			held = held[at:]
			end := bytes.IndexByte(held, '\n')
			if end < 0 {
				break
			}
			m, err := parseMark(string(held[len(start):end]))
			if err != nil {
				return err
			}
			held = held[end+1:]
			if m.kind == markDone {
				return nil
			}
			marked(m)
		}
		if !bytes.HasPrefix(held, start) {
			keep := partial(held, start)
			if _, err := text.Write(held[:len(held)-keep]); err != nil {
				return err
			}
			held = held[len(held)-keep:]
		}
		if readErr != nil {
			if _, err := text.Write(held); err != nil {
				return err
			}
			return errNoDone
		}
	}
}

// partial is the length of the longest end of data that could begin a start.
func partial(data, start []byte) int {
	for n := min(len(data), len(start)-1); n > 0; n-- {
		if bytes.HasPrefix(start, data[len(data)-n:]) {
			return n
		}
	}
	return 0
}

func parseMark(line string) (mark, error) {
	words := strings.Fields(line)
	m := mark{}
	if len(words) > 0 {
		m.kind = words[0]
	}
	var err error
	switch {
	case m.kind == markBoot && len(words) == 1, m.kind == markDone && len(words) == 1:
	case m.kind == markStart && len(words) == 2:
		m.suite, err = strconv.Atoi(words[1])
	case m.kind == markExit && len(words) == 3:
		if m.suite, err = strconv.Atoi(words[1]); err == nil {
			m.status, err = strconv.Atoi(words[2])
		}
	default:
		err = errors.New("unknown")
	}
	if err != nil {
		return m, fmt.Errorf("garbled mark %q in the VM's output: %w", line, err)
	}
	return m, nil
}
