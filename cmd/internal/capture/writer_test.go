package capture

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// fields are what tshark, with these arguments, shows of each packet.
func fields(t *testing.T, args []string, fields ...string) []string {
	t.Helper()
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Fatal("tshark is missing: make deps installs it")
	}
	args = append(args, "-T", "fields", "-E", "separator=;")
	for _, field := range fields {
		args = append(args, "-e", field)
	}
	out, err := exec.Command("tshark", args...).Output()
	if err != nil {
		t.Fatal(err, string(err.(*exec.ExitError).Stderr))
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// What the writer writes is what Wireshark's own program reads.
func TestWriter(t *testing.T) {
	name := filepath.Join(t.TempDir(), "out.pcapng")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := NewWriter(f, Section{Hardware: "x86_64", OS: "Linux 6.12", Application: "xdpmux 1", Comment: "what it is"})
	begun := time.Unix(1_700_000_000, 123456789)
	points := []string{"eth0:a()@fentry", "eth0:a()@fexit", "eth0:\xff()@fexit"}
	for i, point := range points {
		n, err := w.AddInterface(Interface{Name: point, Description: "program 7", Hardware: "veth", Filter: "tcp port 80", Comment: "there", SnapLen: 2048})
		if n != i || err != nil {
			t.Fatal(n, err)
		}
	}
	var want []string
	for i := range 200 {
		// Of all lengths modulo four, cut and whole, with and without a verdict.
		r := Record{Interface: i % 3, Time: begun.Add(time.Duration(i)), Data: bytes.Repeat([]byte{byte(i)}, 60+i), Length: 60 + i + i%2*1000,
			ID: uint64(i+1) << 33, Queue: i % 5, Verdict: uint32(i) * 20_000_000, Decided: i%3 != 0}
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
		verdict := ""
		if r.Decided {
			verdict = fmt.Sprint(r.Verdict)
		}
		point := strings.ToValidUTF8(points[r.Interface], "")
		want = append(want, fmt.Sprintf("%s;%d;%d;%s;%d;%d;1700000000.%09d", point, r.ID, r.Queue, verdict, len(r.Data), r.Length, 123456789+i))
	}
	for i := range points {
		if err := w.WriteStatistics(i, Statistics{begun, begun.Add(time.Second), 1000, 10, 90}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
	got := fields(t, []string{"-r", name}, "frame.interface_name", "frame.packet_id", "frame.interface_queue", "frame.verdict.ebpf_xdp", "frame.cap_len", "frame.len", "frame.time_epoch")
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("packet %d of %d: got\n%s\nwant\n%s", i+1, len(got), got[min(i, len(got)-1)], want[i])
		}
	}
	// The file itself as the packet: tshark names the options of its blocks.
	const interfaces = "pcapng.options.option.data.interface."
	if got := fields(t, []string{"-r", name, "-X", "read_format:MIME Files Format"}, interfaces+"received", interfaces+"dropped_by_os", interfaces+"delivered_to_user"); got[0] != "1000,1000,1000;10,10,10;90,90,90" {
		t.Errorf("statistics: %q", got)
	}
	info, err := exec.Command("capinfos", "-M", name).CombinedOutput()
	if err != nil {
		t.Fatal(err, string(info))
	}
	for _, words := range []string{"x86_64", "Linux 6.12", "xdpmux 1", "what it is", "Description = program 7", "Hardware = veth", "Filter string = tcp port 80",
		"Capture length = 2048", "Time resolution = 0x09", "Number of stat entries = 1", "Number of packets = 200"} {
		key, value, _ := strings.Cut(words, " = ")
		if !strings.Contains(string(info), key) || !strings.Contains(string(info), value) {
			t.Errorf("no %q in\n%s", words, info)
		}
	}

	// Our own reader takes it, too.
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	packets, err := readAll(data)
	if err != nil || len(packets) != 200 {
		t.Fatal(len(packets), err)
	}
	for i, p := range packets {
		if len(p.Data) != 60+i || p.Length != 60+i+i%2*1000 || !p.Time.Equal(begun.Add(time.Duration(i))) {
			t.Errorf("packet %d: %d of %d bytes at %v", i+1, len(p.Data), p.Length, p.Time)
		}
	}
}

// TestChains has tshark read what xdpmux trace --at programs has written on a real kernel (6.12), of chains of one,
// two and ten programs: four packets each, of which xdp_drop_ipv6 drops some.
func TestChains(t *testing.T) {
	const passed, dropped = "xdp_drop_ipv6 2", "xdp_drop_ipv6 1"
	ten := passed + strings.Repeat(", xdp_pass 2", 9)
	for name, want := range map[string][]string{
		"one": {passed, passed, passed, dropped},
		"two": {"xdp_count 2, " + passed, "xdp_count 2, " + passed, "xdp_count 2, " + dropped, "xdp_count 2, " + dropped},
		"ten": {ten, ten, ten, dropped},
	} {
		rows := fields(t, []string{"-r", "testdata/" + name + ".pcapng"}, "frame.packet_id", "frame.interface_name", "frame.interface_queue", "frame.verdict.ebpf_xdp", "frame.len")
		var ways []string
		for i := 0; i+1 < len(rows); i += 2 {
			entry, exit := strings.Split(rows[i], ";"), strings.Split(rows[i+1], ";")
			_, program, _ := strings.Cut(strings.TrimSuffix(exit[1], "()@fexit"), ":")
			if n := fmt.Sprint(len(ways)); len(ways) == 0 || n != exit[0] {
				ways = append(ways, "")
				if n = fmt.Sprint(len(ways)); n != exit[0] {
					t.Fatalf("%s: packet %s after %d", name, exit[0], len(ways)-1)
				}
			} else {
				ways[len(ways)-1] += ", "
			}
			ways[len(ways)-1] += program + " " + exit[3]
			exit[1], exit[3] = strings.Replace(exit[1], "@fexit", "@fentry", 1), ""
			if !slices.Equal(entry, exit) {
				t.Errorf("%s: it came as %v, and left as %v", name, rows[i], rows[i+1])
			}
		}
		if !slices.Equal(ways, want) {
			t.Errorf("%s: tshark reads\n%q, want\n%q", name, ways, want)
		}
		info, err := exec.Command("capinfos", "-M", "testdata/"+name+".pcapng").CombinedOutput()
		if n := strings.Count(string(info), "Comment = eth"); err != nil || n == 0 || n != strings.Count(string(info), ": driver veth, version 1.0\n") {
			t.Errorf("%s: not each point has its driver in the comment: %v\n%s", name, err, info)
		}
	}
}

// full takes so many bytes.
type full struct {
	bytes.Buffer
	room int
}

var errFull = errors.New("no space left")

func (f *full) Write(b []byte) (int, error) {
	n := min(len(b), f.room-f.Len())
	f.Buffer.Write(b[:n])
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

// When the disk is full, what Whole says can be read, and the rest is counted.
func TestWriterFull(t *testing.T) {
	f := &full{room: 1_000_000}
	w := NewWriter(f, Section{})
	if _, err := w.AddInterface(Interface{}); err != nil {
		t.Fatal(err)
	}
	written := 0
	for ; ; written++ {
		if err := w.Write(Record{Time: time.Unix(1, 0), Data: make([]byte, 1500), Length: 1500}); err != nil {
			if !errors.Is(err, errFull) {
				t.Fatal(err)
			}
			written++
			break
		}
	}
	if err := w.Flush(); !errors.Is(err, errFull) {
		t.Error(err)
	}
	size, lost := w.Whole()
	packets, err := readAll(f.Bytes()[:size])
	if err != nil || lost == 0 || len(packets)+lost != written || f.Len() != f.room {
		t.Errorf("%d packets and %d lost of %d, %v", len(packets), lost, written, err)
	}
}
