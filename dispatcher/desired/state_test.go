package desired

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v4"

	"github.com/xdpmux/xdpmux/dispatcher/value"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func parse(file string, data []byte) (*State, error) {
	return Parse(context.Background(), file, filepath.Dir(file), data)
}

func pointer[T any](v T) *T { return &v }

// full says everything that a file can say.
const full = `# everything
confirm: 600
guard: ping -c 1 192.0.2.1
guard-interval: 2
guard-timeout: 1
guard-drops: 0
guard-before: 30
interfaces:
  - name: eth*
    mode: skb
    programs:
      - name: filter
        object: fw.o
        section: xdp/filter
        priority: 0
        actions: []
        frags: false
        pin-path: /sys/fs/bpf/fw
        maps:
          blocked:
            - {key: 192.0.2.1, value: 18446744073709551615}
            - {key: "0a 00 00 01", value: -1}
      - name: count
        object: oci://quay.io/me/count:v1
        verify-key: keys/cosign.pub
        program: xdp_count
        actions: [XDP_PASS, XDP_DROP]
        map-sizes: {flows: 65536, limits: 1}
        variables: {limit: -1, gateway: 192.0.2.1}
        tail-calls:
          parsers:
            - {slot: 0, program: ipv4}
            - {slot: 4294967295, object: arp.o}
            - {slot: 2, object: /opt/ipv6.o, program: ipv6}
  - name: lo
`

var fullTrial = Trial{Confirm: 600, Guard: "ping -c 1 192.0.2.1", GuardInterval: 2, GuardTimeout: 1, GuardDrops: pointer(0), GuardBefore: 30}

var fullState = &State{Trial: fullTrial, Interfaces: []Interface{
	{Name: "eth*", Mode: pointer(xdp.ModeSKB), Programs: []Program{
		{Name: "filter", Object: "/etc/xdpmux/fw.o", Section: "xdp/filter", Priority: pointer(uint32(0)), Actions: xdp.On(),
			Frags: pointer(false), PinPath: "/sys/fs/bpf/fw", Maps: map[string][]Entry{"blocked": {
				{"192.0.2.1", json.Number("18446744073709551615")},
				{"0a 00 00 01", json.Number("-1")},
			}}},
		{Name: "count", Object: "oci://quay.io/me/count:v1", VerifyKey: "/etc/xdpmux/keys/cosign.pub", Program: "xdp_count", Actions: xdp.On(xdp.Pass, xdp.Drop),
			MapSizes:  map[string]uint32{"flows": 65536, "limits": 1},
			Variables: map[string]any{"limit": json.Number("-1"), "gateway": "192.0.2.1"},
			TailCalls: map[string][]TailCall{"parsers": {
				{Slot: 0, Program: "ipv4"}, {Slot: math.MaxUint32, Object: "/etc/xdpmux/arp.o"}, {Slot: 2, Object: "/opt/ipv6.o", Program: "ipv6"},
			}}},
	}},
	{Name: "lo"},
}}

var ignorePlaces = cmpopts.IgnoreUnexported(State{}, Interface{}, Program{}, TailCall{})

// What export writes is printable, and read back as it was, whatever names are.
func TestOddNames(t *testing.T) {
	for _, name := range []string{
		"\x1b[31m", "\u202ex", "\u009b2J", "\u0085", "\u2028", "\ufeff", "\U000e0041", "\x7f", "\a\b\f\v\x01\x00", // not printable
		"a\nb", "a\n", "|\nb", "#\n", "a\tb", "\t", "a\r", "\"\n'\\", // several lines
		" lead", "null", "~", "0x10", "010", "1.0", ".inf", "-.Inf", ".nan", "Inf", "NaN", "0b1", "0o7", "1_000", "1e3", "+1", "12:30:45", "2001-01-01", "<<", "=", "---", "...", "true", "off", "yes", "- a", "#x", "a #b", "a: b", "{a}", "[a", "*a", "&a", "!a", "%a", "@a", "`a", "?", "|", ">", "\\x1b", "é", "😀",
	} {
		want := &State{Interfaces: []Interface{{Name: "eth0", Programs: []Program{
			{Name: name, Object: "/" + name, Section: name, Maps: map[string][]Entry{name: {{Key: "0a", Value: json.Number("1")}}}},
		}}}}
		file, err := want.YAML()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range string(file) {
			if r != '\n' && !strconv.IsPrint(r) {
				t.Errorf("%q: the file has %q", name, r)
			}
		}
		got, err := parse("/f.yaml", file)
		if diff := cmp.Diff(want, got, ignorePlaces); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s\n%s", name, err, file, diff)
		}
	}
	for _, i := range []Interface{{Name: "x\xff"}, {Name: "x", Programs: []Program{{Object: "/x\xff"}}}} {
		if err := sayable(i); err == nil {
			t.Errorf("%+v can be said in a file", i)
		}
	}
}

func TestParse(t *testing.T) {
	s, err := parse("/etc/xdpmux/a.yaml", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fullState, s, ignorePlaces); diff != "" {
		t.Error(diff)
	}
	if got, want := s.Interfaces[0].Programs[1].where, "/etc/xdpmux/a.yaml:23:9"; got != want {
		t.Errorf("the second program is at %s, want %s", got, want)
	}
}

// TestYAML: what is written is read again, from YAML and from JSON.
func TestYAML(t *testing.T) {
	asYAML, err := fullState.YAML()
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.MarshalIndent(fullState, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{asYAML, asJSON} {
		s, err := parse("/etc/xdpmux/a.yaml", data)
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		if diff := cmp.Diff(fullState, s, ignorePlaces, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s\n%s", data, diff)
		}
	}
}

func TestParseErrors(t *testing.T) {
	const eth0 = "interfaces:\n  - name: eth0\n"
	// What no schema can say.
	unsayable := map[string]bool{"interfaces:\n  - name: 'eth[0'\n": true, "interfaces: []\n---\ninterfaces: []\n": true,
		"interfaces: !!seq []\n": true, "interfaces:\n  - name: !!str 5\n": true}
	const program = eth0 + "    programs:\n      - name: a\n        object: x.o\n"
	cases := []struct{ file, err string }{
		{"interfaces: [\n", "a.yaml:2:1: did not find expected node content while parsing a flow node"},
		{"\tinterfaces:", "a.yaml:1:1: found character that cannot start any token while scanning for the next token"},
		{eth0 + "   programs: [\n", "a.yaml:3:4: did not find expected '-' indicator while parsing a block collection from 2:3 on"},
		{eth0 + "    name: eth1\n", `a.yaml:3:5: key "name" stands there twice, first at a.yaml:2:5`},
		{eth0 + "    mod: skb\n", `a.yaml:3:5: unknown key "mod"`},
		{eth0 + "    5: skb\n", `a.yaml:3:5: unknown key "5"`},
		{`{"interfaces": [{"name": "eth0", "bad": 1}]}`, `a.yaml:1:34: unknown key "bad"`},
		{"ifaces: []\n", `a.yaml:1:1: unknown key "ifaces"`},
		{program + "        prio: 5\n        zzz: 1\n", `a.yaml:6:9: unknown key "prio"`},
		{program + "        maps:\n          m:\n            - {key: 1, valu: 2, value: 3}\n", `a.yaml:8:24: unknown key "valu"`},
		{eth0 + "    mode: hw\n", `a.yaml:3:11: "hw": a chain can't be in hw mode`},
		{program + "        priority: -1\n", "a.yaml:6:19: -1 is not a priority, which is from 0 to 4294967295"},
		{program + "        priority: 4294967296\n", "a.yaml:6:19: 4294967296 is not a priority, which is from 0 to 4294967295"},
		{program + "        priority: 1.5\n", "a.yaml:6:19: a whole number is wanted here, and this is a number"},
		{program + "        priority: high\n", "a.yaml:6:19: a whole number is wanted here, and this is a text"},
		{program + "        frags: maybe\n", "a.yaml:6:16: true or false is wanted here, and this is a text"},
		{program + "        actions: XDP_PASS\n", "a.yaml:6:18: a list is wanted here, and this is a text"},
		{program + "        actions: ['XDP_PASS,XDP_TX']\n", `a.yaml:6:19: "XDP_PASS,XDP_TX": each action is an element of the list`},
		{program + "        actions: [XDP_PAS]\n", `a.yaml:6:19: unknown action "XDP_PAS"`},
		{program + "        pin-path: fw\n", `a.yaml:6:19: "fw": it has to begin with /`},
		{program + "        section: xdp\n        program: f\n", `a.yaml:4:9: program "a" has both a section and a program`},
		{program + "        maps:\n          m:\n            - {key: .nan, value: 3}\n", "a.yaml:8:21: a whole number or a text is wanted here, and this is a number"},
		{program + "        maps:\n          m:\n            - {key: 1}\n", `a.yaml:8:15: key "value" is missing`},
		{eth0 + "    programs:\n      - name: a\n", `a.yaml:4:9: key "object" is missing`},
		{"interfaces:\n  - mode: skb\n", `a.yaml:2:5: key "name" is missing`},
		{"interfaces:\n  - name: 5\n", "a.yaml:2:11: a text is wanted here, and this is a whole number"},
		{"interfaces:\n  - name: 'eth[0'\n", `a.yaml:2:11: "eth[0": syntax error in pattern`},
		{eth0 + "    mode: fast\n", `a.yaml:3:11: unknown mode "fast"`},
		{"interfaces:\n  - name: ''\n", "a.yaml:2:11: this must not be empty"},
		{"interfaces: &x [*x]\n", "a.yaml:1:17: an object is wanted here, and this is a list"},
		{"interfaces: [*y]\n", "a.yaml:1:14: unknown anchor 'y' referenced"},
		{"interfaces:\n", "a.yaml:1:12: a list is wanted here, and this is nothing"},
		{"interfaces: !!seq []\n", "a.yaml:1:13: tags such as !!seq are not understood"},
		{"interfaces:\n  - name: !!str 5\n", "a.yaml:2:11: tags such as !!str are not understood"},
		{"? [interfaces]\n: []\n", "a.yaml:1:3: a key has to be a text"},
		{program + "        <<: {priority: 5}\n", `a.yaml:6:9: unknown key "<<"`},
		{"confirm: 86401\n", "a.yaml:1:10: 86401 is not a number of seconds, which is from 1 to 86400"},
		{"confirm: 60s\n", "a.yaml:1:10: a whole number is wanted here, and this is a text"},
		{"guard: ' '\n", `a.yaml:1:8: " ": this names no command`},
		{"guard-drops: 101\n", "a.yaml:1:14: 101 is not a number of percentage points, which is from 0 to 100"},
		{"- eth0\n", "a.yaml:1:1: an object is wanted here, and this is a list"},
		{"interfaces: []\n---\ninterfaces: []\n", "a.yaml: several documents in one file, and a state is one"},
	}
	unsayable[program+"        <<: {priority: 5}\n"] = true // another reader merges it
	for _, number := range []string{"010", "08", "00", "-01", "01020304", "1_000", "0b11", "12e4", "0e10"} {
		cases = append(cases, struct{ file, err string }{program + "        priority: " + number + "\n", "a.yaml:6:19: " + number + " can be read in several ways"},
			struct{ file, err string }{program + "        maps:\n          m:\n            - {key: " + number + ", value: 3}\n", "a.yaml:8:21: " + number + " can be read in several ways"})
		unsayable[program+"        priority: "+number+"\n"], unsayable[program+"        maps:\n          m:\n            - {key: "+number+", value: 3}\n"] = true, true
	}
	for _, c := range cases {
		_, err := parse("a.yaml", []byte(c.file))
		if text := errorText(err); text != c.err {
			t.Errorf("%s\n got: %s\nwant: %s", c.file, text, c.err)
		}
		if !errors.Is(err, xdp.ErrInvalid) {
			t.Errorf("%s\nis not of kind ErrInvalid: %v", c.file, err)
		}
		var doc any
		if err := yaml.Unmarshal([]byte(c.file), &doc); err == nil && !unsayable[c.file] && schema(t).Validate(doc) == nil {
			t.Errorf("%s\nthe schema takes it", c.file)
		}
	}
}

func TestUnknownKeyRemedy(t *testing.T) {
	_, err := parse("a.yaml", []byte("interfaces:\n  - nam: eth0\n"))
	var e *xdp.Error
	if !errors.As(err, &e) || e.Remedy != "keys that can stand there: mode, name, programs" {
		t.Errorf("%#v", err)
	}
}

func TestReadDirectory(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"20.yaml":      "interfaces: [{name: b}]",
		"10.json":      `{"interfaces": [{"name": "a"}]}`,
		"30.yml":       "# nothing",
		".hidden.yaml": "bad: 1",
		"README":       "bad: 1",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Read(t.Context(), dir, filepath.Join(dir, "10.json"))
	if err != nil {
		t.Fatal(err)
	}
	var names string
	for _, i := range s.Interfaces {
		names += i.Name
	}
	if names != "aba" {
		t.Errorf("interfaces %q", names)
	}
	for _, path := range []string{filepath.Join(dir, "absent.yaml"), t.TempDir()} {
		if _, err := Read(t.Context(), path); !errors.Is(err, xdp.ErrInvalid) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestTrial: how a state is to be tried may be said in any of its files, but once.
func TestTrial(t *testing.T) {
	s := &State{}
	for _, c := range []struct{ name, file, err string }{
		{"a.yaml", "confirm: 60", ""},
		{"a.yaml", "confirm: 60", ""},
		{"b.yaml", "interfaces: []", ""},
		{"c.yaml", "guard: 'true'\nguard-drops: 0", ""},
		{"d.yaml", "\nguard: 'false'", `d.yaml:2:8: key "guard" can stand in one file only, and stands at c.yaml:1:8 too`},
	} {
		one, err := parse(c.name, []byte(c.file))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Add(one); errorText(err) != c.err {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if diff := cmp.Diff(Trial{Confirm: 60, Guard: "true", GuardDrops: pointer(0)}, s.Trial); diff != "" || !s.Tries() {
		t.Error(diff)
	}
	if (Trial{GuardInterval: 1}).Tries() {
		t.Error("without a guard and a time it tries")
	}
}

func TestTargets(t *testing.T) {
	names := []string{"eth0", "eth1", "lo"}
	cases := []struct{ file, targets, err string }{
		{"[{name: eth0}]", "[eth0 []]", ""},
		{"[{name: absent}]", "[absent []]", ""},
		{"[{name: wlan*}]", "", ""},
		{"[{name: eth*, programs: [{name: a, object: x}]}]", "[eth0 [a]][eth1 [a]]", ""},
		{"[{name: eth1, programs: [{name: b, object: x}]}, {name: 'eth?', programs: [{name: a, object: x}]}]", "[eth1 [b a]][eth0 [a]]", ""},
		{"[{name: 'eth[1-9]'}]", "[eth1 []]", ""},
		{"[{name: eth0, programs: [{name: a, object: x}, {name: a, object: y}]}]", "", `f:1:60: eth0 has two programs "a"`},
		{"[{name: eth0, programs: [{name: a, object: x}]}, {name: eth*, programs: [{name: a, object: x}]}]", "", `f:1:86: eth0 has two programs "a"`},
		{"[{name: eth0, mode: skb}, {name: 'eth*', mode: native}]", "", "f:1:39: native mode is wanted of eth0, and skb mode elsewhere"},
		{"[{name: eth0, mode: skb}, {name: 'eth*'}]", "[eth0 []][eth1 []]", ""},
	}
	for _, c := range cases {
		s, err := parse("f", []byte("interfaces: "+c.file))
		if err != nil {
			t.Fatal(err)
		}
		all, err := s.targets(names)
		if text := errorText(err); text != c.err {
			t.Errorf("%s\n got: %s\nwant: %s", c.file, text, c.err)
		}
		var text string
		for _, target := range all {
			var programs []string
			for _, p := range target.programs {
				programs = append(programs, p.Name)
			}
			text += fmt.Sprintf("[%s %v]", target.name, programs)
		}
		if text != c.targets {
			t.Errorf("%s\n got: %s\nwant: %s", c.file, text, c.targets)
		}
	}
}

func TestEncode(t *testing.T) {
	number := func(s string) json.Number { return json.Number(s) }
	cases := []struct {
		value any
		size  int
		hex   string
		err   string
	}{
		{number("1"), 1, "01", ""},
		{number("258"), 2, "0201", ""},
		{number("1"), 4, "01000000", ""},
		{number("-1"), 4, "ffffffff", ""},
		{number("18446744073709551615"), 8, "ffffffffffffffff", ""},
		{258, 2, "0201", ""},
		{number("256"), 1, "", "doesn't fit into 1 bytes"},
		{number("-129"), 1, "", "doesn't fit into 1 bytes"},
		{number("1"), 3, "", "is a number, and 3 bytes are wanted"},
		{"192.0.2.1", 4, "c0000201", ""},
		{"192.0.2.1", 16, "", "has 4 bytes, and 16 are wanted"},
		{"2001:db8::1", 16, "20010db8000000000000000000000001", ""},
		{"192.0.2.0/24", 8, "18000000c0000200", ""},
		{"2001:db8::/32", 20, "2000000020010db8000000000000000000000000", ""},
		{"02:00:00:00:00:01", 6, "020000000001", ""},
		{"0a 00ff", 3, "0a00ff", ""},
		{"10", 1, "10", ""},
		{"", 0, "", ""},
		{"0a 0", 2, "", `is neither a number nor an address, a prefix, a MAC address or bytes such as "0a 00 ff"`},
		{"eth0", 4, "", `is neither a number nor an address, a prefix, a MAC address or bytes such as "0a 00 ff"`},
	}
	for _, c := range cases {
		b, err := value.Encode(c.value, c.size)
		if text := errorText(err); text != c.err {
			t.Errorf("%v in %d bytes: got %q, want %q", c.value, c.size, text, c.err)
		}
		if got := fmt.Sprintf("%x", b); got != c.hex {
			t.Errorf("%v in %d bytes: got %s, want %s", c.value, c.size, got, c.hex)
		}
	}
}

func TestAliases(t *testing.T) {
	s, err := parse("/a.yaml", []byte(`interfaces:
  - name: eth0
    programs: &common
      - &p {name: a, object: x.o, maps: {m: [{key: &k 0x10, value: *k}]}}
  - name: eth1
    programs: [*p]
  - name: eth2
    programs: *common
`))
	if err != nil {
		t.Fatal(err)
	}
	p := Program{Name: "a", Object: "/x.o", Maps: map[string][]Entry{"m": {{json.Number("16"), json.Number("16")}}}}
	for _, i := range s.Interfaces {
		if diff := cmp.Diff([]Program{p}, i.Programs, ignorePlaces); diff != "" {
			t.Error(i.Name, diff)
		}
	}
}

// TestAnchorAgain: an alias means what its anchor meant last, up to there.
func TestAnchorAgain(t *testing.T) {
	s, err := parse("/a.yaml", []byte("interfaces: [{name: &n eth0}, {name: *n}, {name: &n eth1}, {name: *n}]"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range s.Interfaces {
		names = append(names, i.Name)
	}
	if got := strings.Join(names, " "); got != "eth0 eth0 eth1 eth1" {
		t.Error(got)
	}
}

// TestByteOrderMark: editors of Windows begin files with one.
func TestByteOrderMark(t *testing.T) {
	for _, file := range []string{"interfaces: [{name: eth0}]", `{"interfaces": [{"name": "eth0"}]}`} {
		if s, err := parse("a.yaml", []byte("\ufeff"+file)); err != nil || len(s.Interfaces) != 1 {
			t.Errorf("%v, %v", s, err)
		}
	}
}

// TestReadEnds: a file that is no state file, but never ends, is refused; and a signal
// ends reading.
func TestReadEnds(t *testing.T) {
	if _, err := Read(t.Context(), "/dev/zero"); errorText(err) != "can't read the state in /dev/zero: it has more than 4 MiB, and is too large" {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Parse(ctx, "a.yaml", "/", []byte(full)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestDocs: the files of the documentation are right.
func TestDocs(t *testing.T) {
	docs, err := os.ReadFile("../../docs/desired-state.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(docs), "```yaml\n")[1:]
	if len(blocks) != 5 {
		t.Errorf("%d files", len(blocks))
	}
	for _, block := range blocks {
		file, _, _ := strings.Cut(block, "```")
		if _, err := parse("docs.yaml", []byte(file)); err != nil {
			t.Errorf("%v\n%s", err, file)
		}
		var doc any
		if err := yaml.Unmarshal([]byte(file), &doc); err != nil {
			t.Fatal(err)
		}
		if err := schema(t).Validate(doc); err != nil {
			t.Errorf("%v\n%s", err, file)
		}
	}
}
