package rehearse

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// exits runs xdpmux and checks its exit status.
func exits(t testing.TB, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, status := harness.Run(t, harness.Xdpmux(), args...)
	if status != want {
		t.Fatalf("xdpmux %s: exit status %d, want %d\n%s%s", strings.Join(args, " "), status, want, stdout, stderr)
	}
	return stdout, stderr
}

// writeState writes a state file.
func writeState(t testing.TB, format string, args ...any) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCommands rehearses one change through each command, and compares what they print with
// what is written here.
func TestCommands(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	id := attach(t, v.Name, xdp.Program{File: object(harness.Sample("xdp_drop_ipv6"))})[0].ID
	var frames [][]byte
	for range 4 {
		frames = append(frames, harness.UDP6(harness.Flow{}))
	}
	frames = append(frames, harness.UDP4(harness.Flow{}))
	pcap := harness.WritePcap(t, layers.LinkTypeEthernet, frames...)
	length := object(harness.Sample("xdp_length"))
	policy := object(harness.Fixture("policy"))
	state := harness.Snapshot(t)

	both := "by xdp_drop_ipv6"
	for _, c := range []struct {
		args   []string
		status int
		want   string // what is printed behind the chain as it would be
	}{
		{[]string{"load", v.Name, length, "--dry-run", "--pcap", pcap}, 0, v.Name + `: 0 of 5 packets would meet something else

Packets  Before                     After                      Bytes
4        XDP_DROP ` + both + `  XDP_DROP ` + both + `  same
1        XDP_PASS ` + both + `  XDP_PASS by xdp_length     same

XDP_PASS ` + both + ` -> XDP_PASS by xdp_length:
5  IPv4 UDP 192.0.2.1:10000 > 192.0.2.2:20000, 42 bytes
    before: xdp_drop_ipv6 XDP_PASS => XDP_PASS ` + both + `
    after:  xdp_drop_ipv6 XDP_PASS, xdp_length XDP_PASS => XDP_PASS by xdp_length
`},
		{[]string{"unload", v.Name, "--all", "--dry-run", "--pcap", pcap}, 2, v.Name + `: 4 of 5 packets would meet something else

Packets  Before                     After                   Bytes
4        XDP_DROP ` + both + `  XDP_PASS by no program  same
1        XDP_PASS ` + both + `  XDP_PASS by no program  same

XDP_DROP ` + both + ` -> XDP_PASS by no program, the first 3 of 4:
1  IPv6 UDP [2001:db8::1]:10000 > [2001:db8::2]:20000, 62 bytes
    before: xdp_drop_ipv6 XDP_DROP => XDP_DROP ` + both + `
    after:  no program => XDP_PASS
2  IPv6 UDP [2001:db8::1]:10000 > [2001:db8::2]:20000, 62 bytes
    before: xdp_drop_ipv6 XDP_DROP => XDP_DROP ` + both + `
    after:  no program => XDP_PASS
3  IPv6 UDP [2001:db8::1]:10000 > [2001:db8::2]:20000, 62 bytes
    before: xdp_drop_ipv6 XDP_DROP => XDP_DROP ` + both + `
    after:  no program => XDP_PASS

XDP_PASS ` + both + ` -> XDP_PASS by no program:
5  IPv4 UDP 192.0.2.1:10000 > 192.0.2.2:20000, 42 bytes
    before: xdp_drop_ipv6 XDP_PASS => XDP_PASS ` + both + `
    after:  no program => XDP_PASS
`},
		{[]string{"set", v.Name, "-i", fmt.Sprint(id), "-P", "99", "--dry-run", "--pcap", pcap}, 0, v.Name + `: 0 of 5 packets would meet something else

Packets  Before                     After                      Bytes
4        XDP_DROP ` + both + `  XDP_DROP ` + both + `  same
1        XDP_PASS ` + both + `  XDP_PASS ` + both + `  same
`},
		{[]string{"set", v.Name, "-i", fmt.Sprint(id), "-P", "10", "--dry-run", "--pcap", pcap}, 0, v.Name + ": nothing would change\n"},
		{[]string{"replace", v.Name, "-i", fmt.Sprint(id), policy + "@name=note", "--dry-run", "--pcap", harness.WritePcap(t, layers.LinkTypeEthernet, frames[4])}, 2, v.Name + `: 1 of 1 packets would meet something else

Packets  Before                     After             Bytes
1        XDP_PASS ` + both + `  XDP_PASS by note  differ

XDP_PASS ` + both + ` -> XDP_PASS by note, with other bytes:
1  IPv4 UDP 192.0.2.1:10000 > 192.0.2.2:20000, 42 bytes
    before: xdp_drop_ipv6 XDP_PASS => XDP_PASS ` + both + `
    after:  note XDP_PASS => XDP_PASS by note
`},
		{[]string{"load", v.Name, policy + "@name=moody,prio=5", "--dry-run", "--pcap", harness.WritePcap(t, layers.LinkTypeEthernet, frames[0])}, 0, v.Name + `: 0 of 1 packets would meet something else

Packets  Before                     After                      Bytes
1        XDP_DROP ` + both + `  XDP_DROP ` + both + `  same

What a test run can't show:
  moody (new): it reads the clock or sets timers, and the packets come without the time between them
  moody (new): it draws random numbers, which are others in each run
  moody (new): it asks for the CPU, and all packets run on one
`},
		// As apply would: the file's program beside that of another tool.
		{[]string{"plan", "-f", writeState(t, "interfaces: [{name: %s, programs: [{name: n, object: %s, program: note, priority: 5}]}]", v.Name, policy), "--pcap", pcap}, 2, v.Name + `: 1 of 5 packets would meet something else

Packets  Before                     After                      Bytes
4        XDP_DROP ` + both + `  XDP_DROP ` + both + `  same
1        XDP_PASS ` + both + `  XDP_PASS ` + both + `  differ

XDP_PASS ` + both + ` -> XDP_PASS ` + both + `, with other bytes:
5  IPv4 UDP 192.0.2.1:10000 > 192.0.2.2:20000, 42 bytes
    before: xdp_drop_ipv6 XDP_PASS => XDP_PASS ` + both + `
    after:  note XDP_PASS, xdp_drop_ipv6 XDP_PASS => XDP_PASS ` + both + `
`},
		{[]string{"plan", "-f", writeState(t, "interfaces: [{name: %s}]", v.Name), "--pcap", pcap}, 0, v.Name + ": nothing would change\n"},
	} {
		t.Run(strings.Join(c.args[:2], " "), func(t *testing.T) {
			stdout, stderr := exits(t, c.status, c.args...)
			if i := strings.LastIndex(stdout, "\n"+v.Name+": "); i < 0 || stdout[i+1:] != c.want {
				t.Errorf("got:\n%s\nwant at its end:\n%s", stdout, c.want)
			}
			if !strings.Contains(stderr, "what runs isn't touched") {
				t.Errorf("stderr: %s", stderr)
			}
		})
	}
	state.Check(t)
}

// TestRehearsalJSON reads what --json prints, and the files that --out writes.
func TestRehearsalJSON(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	id := attach(t, v.Name, xdp.Program{File: object(harness.Sample("xdp_drop_ipv6"))})[0].ID
	frames := [][]byte{harness.UDP6(harness.Flow{SrcPort: 1}), harness.UDP4(harness.Flow{}), harness.UDP6(harness.Flow{SrcPort: 3})}
	pcap := harness.WritePcap(t, layers.LinkTypeEthernet, frames...)
	out := filepath.Join(t.TempDir(), "out")
	args := []string{"unload", v.Name, "-i", fmt.Sprint(id), "--dry-run", "--json", "--pcap", pcap, "--out", out}
	stdout, _ := exits(t, 2, args...)
	var all []struct {
		Packets, Differ int
		Before, After   []xdp.Loaded
		Kinds           []struct {
			Packets       int
			Before, After struct {
				Verdict   string
				DecidedBy *xdp.Loaded `json:"decided_by"`
			}
			First []struct{ Packet int }
		}
	}
	if err := json.Unmarshal([]byte(stdout), &all); err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	if len(all) != 1 || all[0].Packets != 3 || all[0].Differ != 2 || len(all[0].Before) != 1 || all[0].Before[0].ID != id || len(all[0].After) != 0 || len(all[0].Kinds) != 2 {
		t.Fatalf("%+v", all)
	}
	k := all[0].Kinds[0]
	if k.Packets != 2 || k.Before.Verdict != "XDP_DROP" || k.Before.DecidedBy.ID != id || k.After.Verdict != "XDP_PASS" || k.After.DecidedBy != nil || k.First[1].Packet != 3 {
		t.Errorf("%+v", k)
	}
	written, err := os.ReadDir(out)
	if err != nil || len(written) != 1 || written[0].Name() != v.Name+"-XDP_DROP-XDP_PASS.pcapng" {
		t.Fatalf("%v, %v", written, err)
	}
	file := filepath.Join(out, written[0].Name())
	if got := harness.ReadPcapng(t, file); len(got) != 2 || string(got[0]) != string(frames[0]) || string(got[1]) != string(frames[2]) {
		t.Errorf("% x", got)
	}
	// What is there stays, unless by force.
	if _, stderr := exits(t, 1, args...); !strings.Contains(stderr, file+" is there already") {
		t.Error(stderr)
	}
	exits(t, 2, append(args, "--force")...)
	if got := harness.ReadPcapng(t, file); len(got) != 2 {
		t.Errorf("%d packets", len(got))
	}
}

// TestStdin reads packets from a pipe.
func TestStdin(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	attach(t, v.Name, xdp.Program{File: object(harness.Sample("xdp_drop_ipv6"))})
	cmd := exec.Command(harness.Xdpmux(), "unload", "-a", v.Name, "--dry-run", "--pcap", "-")
	data, err := os.ReadFile(harness.WritePcap(t, layers.LinkTypeEthernet, harness.UDP6(harness.Flow{})))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "1 of 1 packets") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestBadRehearsals are calls that can't be answered: each gets a sentence, and nothing is
// changed or printed.
func TestBadRehearsals(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	id := fmt.Sprint(attach(t, v.Name, fixture("policy"))[0].ID)
	good := harness.WritePcap(t, layers.LinkTypeEthernet, packet(0, 0))
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	bad := func(contents []byte) string {
		name := filepath.Join(t.TempDir(), "bad.pcap")
		if err := os.WriteFile(name, contents, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	state := harness.Snapshot(t)
	for _, c := range []struct {
		name, want string
		args       []string
	}{
		{"missing", "can't open /nowhere.pcap: no such file", []string{"--pcap", "/nowhere.pcap"}},
		{"text", "is not a pcap or pcapng file", []string{"--pcap", bad([]byte("this is no capture at all"))}},
		{"truncated", "is truncated or broken after packet 0", []string{"--pcap", bad(data[:len(data)-5])}},
		{"link type", "XDP programs see Ethernet", []string{"--pcap", harness.WritePcap(t, layers.LinkTypeRaw, packet(0, 0))}},
		{"long", "packet 2 of", []string{"--pcap", harness.WritePcap(t, layers.LinkTypeEthernet, packet(0, 0), make([]byte, 4000))}},
		{"short", "has 13 bytes, and a test run", []string{"--pcap", harness.WritePcap(t, layers.LinkTypeEthernet, make([]byte, 13))}},
		{"no packets", "--out writes packets of --pcap or --live, and neither is given", []string{"--out", "/tmp"}},
		{"both", "--pcap and --live exclude each other", []string{"--pcap", good, "--live", "1"}},
		{"no time", `--live "0" is not a time of a second or more`, []string{"--live", "0"}},
		{"too long", "--live 25h is more than a day", []string{"--live", "25h"}},
		{"no files", "--force replaces files, and none is written", []string{"--pcap", good, "--force"}},
		{"no directory", "can't make directory /proc/out", []string{"--pcap", good, "--out", "/proc/out"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr := exits(t, 1, append([]string{"unload", v.Name, "-i", id, "--dry-run", "--json"}, c.args...)...)
			if stdout != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("%s%swant: %s", stdout, stderr, c.want)
			}
		})
	}
	for _, args := range [][]string{
		{"unload", v.Name, "-i", id}, {"load", v.Name, object(harness.Sample("xdp_pass"))}, {"set", v.Name, "-i", id, "-P", "3"},
		{"replace", v.Name, "-i", id, object(harness.Sample("xdp_pass"))},
	} {
		if _, stderr := exits(t, 1, append(args, "--pcap", good)...); !strings.Contains(stderr, "--pcap is for --dry-run, which changes nothing") {
			t.Errorf("%s: %s", args[0], stderr)
		}
		if _, stderr := exits(t, 1, append(args, "--live", "1")...); !strings.Contains(stderr, "--live is for --dry-run, which changes nothing") {
			t.Errorf("%s: %s", args[0], stderr)
		}
	}
	if _, stderr := exits(t, 1, "plan", "-f", "-", "--pcap", "-"); !strings.Contains(stderr, "are to come from standard input") {
		t.Error(stderr)
	}
	state.Check(t)
}
