package rehearse

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"

	"github.com/xdpmux/xdpmux/test/harness"
)

// write writes a file of a test.
func write(t testing.TB, path, format string, args ...any) string {
	t.Helper()
	if err := os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSampleCases runs the samples' own cases.
func TestSampleCases(t *testing.T) {
	harness.NoLeak(t)
	const dir = "../../bpf/samples/test/"
	stdout, _ := exits(t, 0, "test", "-f", dir+"state.yaml", dir+"cases.yaml")
	if n := strings.Count(stdout, "ok    "); n < 9 || !strings.HasSuffix(stdout, fmt.Sprintf("%d passed, 0 failed\n", n)) {
		t.Error(stdout)
	}
}

// TestCasesOfStdin has the state or the cases come from standard input.
func TestCasesOfStdin(t *testing.T) {
	harness.NoLeak(t)
	file := object(harness.Sample("xdp_pass"))
	t.Chdir(t.TempDir()) // where relative paths begin
	must(t, os.Symlink(file, "pass.o"))
	write(t, "state.yaml", "interfaces: [{name: eth0, programs: [{name: pass, object: pass.o}]}]")
	write(t, "cases.yaml", "cases: [{name: a, packet: ipv4 192.0.2.1 > 192.0.2.2, expect: {verdict: pass, program: pass}}]")
	for args, want := range map[string]string{
		"-f - cases.yaml <state.yaml": "1 passed, 0 failed\n",
		"-f state.yaml - <cases.yaml": "1 passed, 0 failed\n",
		"-f - - <state.yaml":          "both the state and the cases are to come from standard input",
	} {
		stdout, stderr, status := harness.Run(t, "sh", "-c", `exec "$0" test `+args, harness.Xdpmux())
		if !strings.Contains(stdout+stderr, want) || (status == 0) != (stdout != "") {
			t.Errorf("test %s: exit status %d\n%s%s", args, status, stdout, stderr)
		}
	}
}

// TestCasesPage runs the example of docs/test.md.
func TestCasesPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/test.md")
	if err != nil {
		t.Fatal(err)
	}
	harness.NoLeak(t)
	t.Chdir(t.TempDir())
	blocks := strings.Split(string(page), "```yaml\n# ")
	for _, block := range blocks[1:] {
		name, text, _ := strings.Cut(block, "\n")
		text, _, _ = strings.Cut(text, "```")
		write(t, name, "# %s\n%s", name, text)
	}
	for _, name := range []string{"xdp_count.o", "xdp_drop_ipv6.o"} {
		data, err := os.ReadFile("/repo/build/bpf/" + name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, name, "%s", data)
	}
	_, example, _ := strings.Cut(string(page), "```console\n$ xdpmux ")
	example, _, _ = strings.Cut(example, "```")
	command, want, _ := strings.Cut(example, "\n")
	stdout, _ := exits(t, 2, strings.Fields(command)...)
	if diff := cmp.Diff(want, stdout); diff != "" {
		t.Errorf("(-page +printed):\n%s", diff)
	}
}

// TestCases has cases of chains of one, two and ten programs pass and fail, by verdict, program
// and bytes, with maps of the state, of the case, and shared ones.
func TestCases(t *testing.T) {
	harness.NoLeak(t)
	state := harness.Snapshot(t)
	dir, policy := t.TempDir(), object(harness.Fixture("policy"))
	count := object(harness.Sample("xdp_count"))
	var ten strings.Builder
	for i := range 9 {
		fmt.Fprintf(&ten, "{name: c%d, object: %s}, ", i, count)
	}
	file := write(t, filepath.Join(dir, "state.yaml"), `interfaces:
- {name: one, programs: [{name: guard, object: %[1]s, program: policy, maps: {in_hash: [{key: 1, value: 1}]}}]}
- {name: 'two*', programs: [{name: late, object: %[1]s, program: policy, priority: 9}, {name: note, object: %[1]s, program: note, priority: 1}]}
- {name: shared, programs: [{name: guard, object: %[1]s, program: policy, priority: 2, pin-path: /sys/fs/bpf/none}, {name: note, object: %[1]s, program: note, priority: 1, pin-path: /sys/fs/bpf/none}]}
- {name: moody, programs: [{name: moody, object: %[1]s, program: moody}]}
- {name: ten, programs: [%[2]s{name: guard, object: %[1]s, program: policy}]}
`, policy, ten.String())
	pcap := harness.WritePcap(t, layers.LinkTypeEthernet, packet(1, 0), packet(2, 1))
	hash := func(key byte) string { return fmt.Sprintf("{hex: '%x'}", packet(2, key)) }
	cases := write(t, filepath.Join(dir, "cases.yaml"), `cases:
- {name: by the state's map, interface: one, packet: %[1]s, expect: {verdict: drop, program: guard}}
- {name: not in the state's map, interface: one, packet: %[2]s, expect: {verdict: pass, program: guard, bytes: same}}
- {name: by the case's map, interface: one, maps: {guard: {in_hash: [{key: 2, value: 3}]}}, packet: %[2]s, expect: {verdict: tx}}
- {name: instead of the state's, interface: one, maps: {guard: {in_hash: [{key: 2, value: 3}]}}, packet: %[1]s, expect: {verdict: pass}}
- {name: of a capture, interface: one, packet: {pcap: %[3]s, number: 2}, expect: {verdict: drop}}
- {name: in the order of priorities, interface: two0, packet: %[2]s, expect: {verdict: pass, program: late}}
- {name: the last of ten, interface: ten, maps: {guard: {in_hash: [{key: 2, value: 4}]}}, packet: %[2]s, expect: {verdict: redirect, program: guard}}
- {name: by what another has noted, interface: shared, packet: {hex: '%[4]x'}, expect: {verdict: drop, program: guard}}
- {name: wrong verdict, interface: one, packet: %[1]s, expect: {verdict: pass}}
- {name: wrong program, interface: two1, packet: %[2]s, expect: {verdict: pass, program: note}}
- {name: wrong of a clock, interface: moody, packet: %[2]s, expect: {verdict: drop}}
- {name: "wrong # bytes", interface: one, packet: %[2]s, expect: {verdict: pass, bytes: 'ff'}}
`, hash(1), hash(2), pcap, packet(seen, 7))
	command := []string{"test", "-f", file, cases}
	stdout, _ := exits(t, 2, command...)
	for _, want := range []string{
		"ok    by the state's map\nok    not in the state's map\nok    by the case's map\nok    instead of the state's\nok    of a capture\n" +
			"ok    in the order of priorities\nok    the last of ten\nok    by what another has noted\nFAIL  wrong verdict (" + cases + ":10:3)\n" +
			"      the verdict is XDP_DROP, and XDP_PASS was expected\n",
		"guard XDP_DROP => XDP_DROP by guard\n",
		"      late decided, and note was expected\n",
		"note XDP_PASS, late XDP_PASS => XDP_PASS by late\n",
		"      a test run can't show all of moody: it reads the clock or sets timers, and the packets come without the time between them\n",
		"      other bytes from byte 0 on: ",
		"\n8 passed, 4 failed\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in\n%s", want, stdout)
		}
	}

	tap, _ := exits(t, 2, append(command, "--tap")...)
	if !strings.HasPrefix(tap, "TAP version 13\n1..12\nok 1 - by the state's map\n") ||
		!strings.Contains(tap, "\nnot ok 9 - wrong verdict\n# "+cases+":10:3\n# the verdict is XDP_DROP") || !strings.Contains(tap, "\nnot ok 12 - wrong \\# bytes\n") {
		t.Error(tap)
	}

	junit, _ := exits(t, 2, append(command, "--junit")...)
	var suite struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Cases    []struct {
			Name    string `xml:"name,attr"`
			Failure *struct {
				Message string `xml:"message,attr"`
			} `xml:"failure"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal([]byte(junit), &suite); err != nil {
		t.Fatalf("%v in\n%s", err, junit)
	}
	if suite.Tests != 12 || suite.Failures != 4 || len(suite.Cases) != 12 || suite.Cases[7].Failure != nil ||
		suite.Cases[8].Failure == nil || suite.Cases[8].Failure.Message != "the verdict is XDP_DROP, and XDP_PASS was expected" {
		t.Error(junit)
	}
	var results []struct {
		Name   string
		Passed bool
	}
	stdout, _ = exits(t, 2, append(command, "--json")...)
	if err := json.Unmarshal([]byte(stdout), &results); err != nil {
		t.Fatal(err)
	}
	if len(results) != 12 || !results[7].Passed || results[8].Passed {
		t.Errorf("%+v", results)
	}
	state.Check(t)
}

// TestBadCases has cases refused with their place, and nothing told of the others.
func TestBadCases(t *testing.T) {
	harness.NoLeak(t)
	dir := t.TempDir()
	state := write(t, filepath.Join(dir, "state.yaml"), "interfaces: [{name: eth0, programs: [{name: guard, object: %s, program: policy}]}]", object(harness.Fixture("policy")))
	const good = "{name: good, packet: ipv4 192.0.2.1 > 192.0.2.2, expect: {verdict: pass}}"
	for bad, want := range map[string]string{
		"{name: a, packet: ipx, expect: {verdict: pass}}":                                                                        `:1:102: arp, ipv4 or ipv6 is wanted, and this is "ipx"`,
		"{name: a, packet: {hex: '0102'}, expect: {verdict: pass}}":                                                              ":1:102: a packet of 2 bytes, and the shortest has 14",
		"{name: a, packet: {pcap: nowhere.pcap, number: 1}, expect: {verdict: pass}}":                                            ":1:102: can't open " + dir + "/nowhere.pcap: no such file or directory",
		"{name: a, packet: ipv4 192.0.2.1 > 192.0.2.2, maps: {other: {}}, expect: {verdict: pass}}":                              `:1:84: the state wants no program "other" on eth0`,
		"{name: a, packet: ipv4 192.0.2.1 > 192.0.2.2, maps: {guard: {other: []}}, expect: {verdict: pass}}":                     `has no map "other"`,
		"{name: a, packet: ipv4 192.0.2.1 > 192.0.2.2, expect: {verdict: pass, program: other}}":                                 `:1:84: the state wants no program "other" on eth0`,
		"{name: a, packet: ipv4 192.0.2.1 > 192.0.2.2 length 9000, expect: {verdict: pass}}":                                     "a packet of 9000 bytes",
		"{name: a, interface: eth1, packet: ipv4 192.0.2.1 > 192.0.2.2, expect: {verdict: pass}}":                                ":1:84: the state wants no program on eth1",
		"{name: a, packet: ipv4 192.0.2.1 > 192.0.2.2, maps: {guard: {in_hash: [{key: x, value: 1}]}}, expect: {verdict: pass}}": `key x`,
		"{nam: a}": `:1:85: unknown key "nam"`,
	} {
		cases := write(t, filepath.Join(dir, "cases.yaml"), "cases: [%s, %s]", good, bad)
		stdout, stderr := exits(t, 1, "test", "-f", state, cases)
		if stdout != "" || !strings.Contains(stderr, cases) || !strings.Contains(stderr, want) {
			t.Errorf("%s\nsays %s%swant %s", bad, stdout, stderr, want)
		}
	}
	cases := write(t, filepath.Join(dir, "cases.yaml"), "cases: [%s]", good)
	for want, args := range map[string][]string{
		"test needs a state and cases":     {"test", cases},
		"are three formats":                {"test", "-f", state, cases, "--tap", "--junit"},
		"can't read the state in /nowhere": {"test", "-f", "/nowhere", cases},
	} {
		if _, stderr := exits(t, 1, args...); !strings.Contains(stderr, want) {
			t.Errorf("%q: %s", args, stderr)
		}
	}
}
