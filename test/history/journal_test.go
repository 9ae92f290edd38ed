package history

import (
	"encoding/json"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/history"
	"github.com/xdpmux/xdpmux/test/harness"
)

// listenJournal takes the place of journald.
func listenJournal(t *testing.T) *net.UnixConn {
	t.Helper()
	const dir = "/run/systemd/journal"
	must(t, os.MkdirAll(dir, 0o755))
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	t.Cleanup(func() { must(t, unix.Unmount(dir, 0)) })
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/socket", Net: "unixgram"})
	must(t, err)
	t.Cleanup(func() { socket.Close() })
	must(t, socket.SetReadDeadline(time.Now().Add(time.Minute)))
	return socket
}

// TestJournal: the journal gets each record as one entry, the very one that history shows.
func TestJournal(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	v := veth(t)
	socket := listenJournal(t)
	entry := func() map[string]string {
		t.Helper()
		message := make([]byte, 1<<16)
		n, err := socket.Read(message)
		must(t, err)
		fields := map[string]string{}
		for field := range strings.Lines(string(message[:n])) {
			name, value, _ := strings.Cut(strings.TrimSuffix(field, "\n"), "=")
			fields[name] = value
		}
		return fields
	}
	object := harness.Sample("xdp_pass")
	harness.MustRun(t, ours(), "load", v.Name, object)
	got := entry()
	if got["MESSAGE"] != v.Name+": done: "+ours()+" load "+v.Name+" "+object || got["MESSAGE_ID"] != history.MessageID ||
		got["SYSLOG_IDENTIFIER"] != "xdpmux" || got["XDPMUX_INTERFACE"] != v.Name || got["XDPMUX_OUTCOME"] != "done" || got["XDPMUX_NUMBER"] != "1" {
		t.Errorf("%q", got)
	}
	record, err := json.Marshal(records(t)[0])
	must(t, err)
	if got["XDPMUX_RECORD"] != string(record) {
		t.Errorf("the journal has\n%s\nand the history\n%s", got["XDPMUX_RECORD"], record)
	}
	harness.MustRun(t, native, "unload", "-a", v.Name)
	harness.MustRun(t, ours(), "history")
	if got := entry(); got["MESSAGE"] != v.Name+": found: changed by another tool" {
		t.Errorf("%q", got)
	}
	if _, _, status := harness.Run(t, ours(), "load", v.Name, "nonesuch.o"); status != 1 {
		t.Errorf("exit status %d", status)
	}
	const warning = "4"
	if got := entry(); got["PRIORITY"] != warning || got["XDPMUX_OUTCOME"] != "failed" {
		t.Errorf("%q", got)
	}
}

// TestJournalHangs: a journal that takes nothing any more doesn't keep a change from ending.
func TestJournalHangs(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	v := veth(t)
	socket := listenJournal(t)
	conn, err := net.Dial("unixgram", socket.LocalAddr().String())
	must(t, err)
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	must(t, err)
	for full := false; !full; { // nobody reads
		must(t, raw.Write(func(fd uintptr) bool {
			full = unix.Send(int(fd), []byte("x"), unix.MSG_DONTWAIT) == syscall.EAGAIN
			return true
		}))
	}
	harness.MustRun(t, ours(), "load", v.Name, harness.Sample("xdp_pass"))
	unbroken(t, v.Name)
}
