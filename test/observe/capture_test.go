package observe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

const captures = "testdata/captures/"

// trace runs xdpmux trace with standard input from a file, or from a command, and holds
// it to its limit of memory.
func trace(t *testing.T, stdin string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, said bytes.Buffer
	cmd := exec.Command("bash", append([]string{"-c", stdin + ` "$@"`, "bash", xdpmux, "trace"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if used := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss; used > 100<<10 {
		t.Errorf("trace %q took %d KiB of memory", args, used)
	}
	return out.String(), said.String(), cmd.ProcessState.ExitCode()
}

// Captures of other tools run, from a file, a pipe and standard input alike. Packets that don't
// run, or not whole, are counted.
func TestTraceForeignCaptures(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 2)
	const cut = " packets of NAME are cut: the programs see what was captured of them"
	const sll2 = "packets of NAME are skipped: they are of link type 276 (Linux SLL2)"
	for _, c := range []struct {
		file    string
		packets int
		warning string
	}{
		{"micro.pcap", 10, ""},
		{"nano.pcap", 10, ""},
		{"micro.pcap.gz", 10, ""},
		{"micro.pcapng", 10, ""},
		{"secrets.pcapng", 10, ""},
		{"cut.pcap", 10, "10 of 10" + cut},
		{"dumpcap.pcapng", 10, "8 of 10" + cut},
		{"sections.pcapng", 20, "8 of 20" + cut},
		{"mixed.pcapng", 10, "10 of 20 " + sll2},
	} {
		whole := ""
		inputs := []struct{ name, stdin, pcap string }{
			{captures + c.file, "", captures + c.file},
			{"standard input", "cat " + captures + c.file + " |", "-"},
			{"standard input", "<" + captures + c.file, "-"},
			{"/proc/self/fd/0", "cat " + captures + c.file + " |", "/proc/self/fd/0"},
		}
		if c.file != "mixed.pcapng" {
			inputs = inputs[:2]
		}
		for _, input := range inputs {
			stdout, stderr, status := trace(t, input.stdin, v.Name, "--pcap", input.pcap)
			lines := strings.Split(stdout, "\n")
			if status != 0 || len(lines) != c.packets+6 || whole != "" && stdout != whole {
				t.Errorf("%s by %q: status %d\n%s%s", c.file, input.stdin, status, stdout, stderr)
			}
			whole = stdout
			want := strings.ReplaceAll(c.warning, "NAME", input.name)
			if !strings.Contains(stderr, want) || strings.Contains(stderr, "warning") != (want != "") {
				t.Errorf("%s by %q: said %q, want %q", c.file, input.stdin, stderr, want)
			}
		}
	}
	stdout, _, _ := trace(t, "", v.Name, "--pcap", captures+"cut.pcap")
	if first, _, _ := strings.Cut(stdout, "\n"); !strings.HasPrefix(first, "1  IPv4 ICMP EchoRequest 192.0.2.1 > 192.0.2.2, 60 of 1042 bytes: step0 ") {
		t.Errorf("a cut packet: %s", first)
	}
	_, stderr, status := trace(t, "", v.Name, "--pcap", captures+"any.pcap")
	if want := "has packets of link type 276 (Linux SLL2), and XDP programs see Ethernet\n  capture on an Ethernet interface, not on any"; status != 1 || !strings.Contains(stderr, want) {
		t.Errorf("status %d, %q, want %q", status, stderr, want)
	}
	// Packets behind skipped ones have the numbers that Wireshark shows.
	reversed := filepath.Join(t.TempDir(), "reversed.pcapng")
	any, micro := sectionOf(t, "mixed.pcapng", 1), sectionOf(t, "mixed.pcapng", 0)
	if err := os.WriteFile(reversed, append(any, micro...), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, _ = trace(t, "", v.Name, "--json", "--pcap", reversed)
	var line struct{ Packet int }
	if err := json.Unmarshal([]byte(strings.SplitN(stdout, "\n", 2)[0]), &line); err != nil || line.Packet != 11 {
		t.Errorf("first packet %+v, %v\n%s%s", line, err, stdout, stderr)
	}
}

// sectionOf is a pcapng section with the packets of one interface of a file.
func sectionOf(t *testing.T, file string, iface byte) []byte {
	t.Helper()
	data, err := os.ReadFile(captures + file)
	if err != nil {
		t.Fatal(err)
	}
	var section []byte
	for len(data) > 0 {
		size := int(data[4]) | int(data[5])<<8
		if data[0] != 6 || data[8] == iface {
			section = append(section, data[:size]...)
		}
		data = data[size:]
	}
	return section
}

// A capture that is broken anywhere runs nothing. Where it lies doesn't matter.
func TestTraceBrokenCaptures(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 2)
	data, err := os.ReadFile(captures + "micro.pcapng")
	if err != nil {
		t.Fatal(err)
	}
	broken := func(change func([]byte) []byte) string {
		name := filepath.Join(t.TempDir(), "broken.pcapng")
		if err := os.WriteFile(name, change(bytes.Clone(data)), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	at := bytes.Index(data, []byte{6, 0, 0, 0}) // the first packet
	for _, c := range []struct{ name, file, want string }{
		{"cut", broken(func(b []byte) []byte { return b[:len(b)-3] }), "is truncated or broken after packet 9 (it ends in the middle of a record"},
		{"resolution", broken(func(b []byte) []byte {
			options := []byte{1, 0, 0, 0, 28, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 0x7f, 0, 0, 0, 28, 0, 0, 0}
			return append(b[:at:at], append(options, b[at:]...)...)
		}), "is truncated or broken after packet 0 (times in units of which no 64 bits hold a second (if_tsresol 0x7f))"},
		{"4 GB", broken(func(b []byte) []byte {
			copy(b[at+20:], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
			return b
		}), "is truncated or broken after packet 0 (a packet of 4294967295 bytes, and 262144 are the limit)"},
	} {
		for _, input := range []struct{ stdin, pcap string }{{"", c.file}, {"cat " + c.file + " |", "-"}} {
			stdout, stderr, status := trace(t, input.stdin, v.Name, "--pcap", input.pcap)
			if status != 1 || stdout != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("%s: status %d, %s%s", c.name, status, stdout, stderr)
			}
		}
	}
	// A pipe that never ends is read no further than is kept of it. A signal ends the wait for
	// one that is silent.
	_, stderr, status := trace(t, "", v.Name, "--pcap", "/dev/zero")
	if status != 1 || !strings.Contains(stderr, "/dev/zero is not a pcap or pcapng file") {
		t.Errorf("/dev/zero: status %d, %s", status, stderr)
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGUSR1} {
		p := harness.Start(t, xdpmux, "trace", v.Name, "--pcap", fifo)
		silent, err := os.OpenFile(fifo, os.O_WRONLY, 0) // when there is a reader
		if err != nil {
			t.Fatal(err)
		}
		p.Signal(t, sig)
		p.End(t, 1)
		silent.Close()
		if said := p.Stderr.String(); said != "xdpmux: interrupted\n" {
			t.Errorf("%v at a silent pipe: %s", sig, said)
		}
	}
}

// --out replaces no file, unless it is told to, and never the capture itself.
func TestTraceOutKeepsFiles(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 2)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	pass, drop := packet(), packet(xdp.Drop)
	both := harness.WritePcap(t, layers.LinkTypeEthernet, pass, drop, pass)
	files := func() (names []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	expect := func(want ...string) {
		t.Helper()
		if got := files(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("files %v, want %v", got, want)
		}
	}
	// Before any trace: the kernel frees the maps of one a while after it has ended.
	state := harness.Snapshot(t)
	harness.MustRun(t, xdpmux, "trace", v.Name, "--pcap", both, "--out", dir)
	expect("XDP_DROP.pcapng", "XDP_PASS.pcapng")
	before, err := os.ReadFile(in("XDP_PASS.pcapng"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(in("XDP_PASS.pcapng"), in("linked")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("XDP_PASS.pcapng", in("symlink")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--pcap", both}, in("XDP_DROP.pcapng") + " is there already\n  choose another name; --force replaces it\n"},
		{[]string{"--pcap", in("XDP_PASS.pcapng")}, "is there already"},
		{[]string{"--force", "--pcap", in("XDP_PASS.pcapng")}, in("XDP_PASS.pcapng") + " is the capture itself"},
		{[]string{"--force", "--pcap", in("symlink")}, in("XDP_PASS.pcapng") + " is the capture itself"},
		{[]string{"--force", "--pcap", in("linked")}, in("XDP_PASS.pcapng") + " is the capture itself"},
	} {
		stdout, stderr, status := harness.Run(t, xdpmux, append([]string{"trace", v.Name, "--out", dir}, c.args...)...)
		if status != 1 || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%q: status %d, %s%s", c.args, status, stdout, stderr)
		}
		if after, err := os.ReadFile(in("XDP_PASS.pcapng")); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%q: the file has changed, %v", c.args, err)
		}
	}
	_, stderr, status := trace(t, "<"+in("XDP_PASS.pcapng"), v.Name, "--force", "--out", dir, "--pcap", "-")
	if status != 1 || !strings.Contains(stderr, "is the capture itself") {
		t.Errorf("from standard input: status %d, %s", status, stderr)
	}
	state.Check(t)

	// With --force it does, and only files of this trace are there afterwards.
	onlyPass := harness.WritePcap(t, layers.LinkTypeEthernet, pass)
	harness.MustRun(t, xdpmux, "trace", v.Name, "--pcap", onlyPass, "--out", dir, "--force")
	expect("XDP_PASS.pcapng", "linked", "symlink")
	if got := harness.ReadPcapng(t, in("XDP_PASS.pcapng")); len(got) != 1 {
		t.Errorf("%d packets, want 1", len(got))
	}
	if left, err := os.ReadFile(in("linked")); err != nil || !bytes.Equal(before, left) {
		t.Errorf("the old file, under its other name, has changed: %v", err)
	}
	if _, stderr, status := harness.Run(t, xdpmux, "trace", v.Name, "--pcap", both, "--force"); status != 1 || !strings.Contains(stderr, "--force replaces files, and none is written") {
		t.Errorf("status %d, %s", status, stderr)
	}

	// What is written of the wire is kept in the same way.
	stdout, stderr, status := harness.Run(t, xdpmux, "trace", v.Name, "--live", "--count", "1", "--write", in("linked"))
	if status != 1 || stdout != "" || !strings.Contains(stderr, in("linked")+" is there already") {
		t.Errorf("--write: status %d, %s%s", status, stdout, stderr)
	}
	expect("XDP_PASS.pcapng", "linked", "symlink")
	// A packet that the capture has cut is marked as cut in what is written, too.
	sub := in("cut")
	harness.MustRun(t, xdpmux, "trace", v.Name, "--pcap", captures+"cut.pcap", "--out", sub)
	var written []string
	entries, _ := filepath.Glob(sub + "/*")
	for _, name := range entries {
		_, stderr, _ := harness.Run(t, xdpmux, "trace", v.Name, "--pcap", name)
		written = append(written, stderr)
	}
	if len(written) == 0 || strings.Count(strings.Join(written, ""), "are cut: ") != len(written) {
		t.Errorf("%d files, %q", len(written), written)
	}
}
