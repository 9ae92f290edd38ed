package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/xdpmux/xdpmux/test/harness"
)

// What the commands really print has no field, and no kind of value, that the examples of
// docs/json.md don't have. A test of cmd/xdpmux holds that the examples are whole.
func TestJSON(t *testing.T) {
	harness.NoLeak(t)
	v, legacy := harness.NewVeth(t), harness.NewVeth(t)
	chain(t, v, sample("xdp_count"), object("maps"), sample("xdp_drop"))
	legacy.Attach(t, harness.Program(t, harness.Pass), harness.SKB)
	v.Deliver(t, harness.UDP4(harness.Flow{}), harness.UDP6(harness.Flow{}))
	dir := t.TempDir()
	packets := filepath.Join(dir, "packets.pcap")
	writePcap(t, packets, harness.UDP4(harness.Flow{}), harness.UDP6(harness.Flow{}))
	target := harness.NewVeth(t)
	t.Cleanup(func() { harness.Run(t, ours(), "unload", "-a", target.Name) })
	targets := harness.NewVeth(t)
	chain(t, targets, object("maptypes"), object("tailcall"))
	harness.MustRun(t, ours(), "map", "update", targets.Name, "devices", "--key", "0", "--value", v.Name)
	harness.MustRun(t, ours(), "map", "update", targets.Name, "cpus", "--key", "0", "--value", "8")
	// What an interface leaves behind.
	gone := harness.NewVeth(t)
	harness.MustRun(t, ours(), "load", gone.Name, sample("xdp_pass"))
	harness.MustRun(t, "ip", "link", "del", gone.Name)
	state := filepath.Join(dir, "state.yaml")
	drop, err := filepath.Abs(sample("xdp_drop"))
	must(t, err)
	file := "interfaces:\n"
	for _, name := range []string{target.Name, legacy.Name} {
		file += fmt.Sprintf("- name: %s\n  programs:\n  - {name: filter, object: %s, priority: 20}\n", name, drop)
	}
	must(t, os.WriteFile(state, []byte(file), 0o600))

	for _, c := range []struct {
		command string
		args    []string
		exit    int
	}{
		{"status", nil, 0},
		{"features", []string{v.Name}, 0},
		{"check", []string{v.Name}, 0},
		{"inspect", []string{object("maps"), object("socket"), object("nobtf"), object("tailcall"), object("metadata")}, 0},
		{"map list", []string{v.Name}, 0},
		{"map dump", []string{v.Name, "a_hash"}, 0},
		{"map dump", []string{v.Name, "a_cpu_struct"}, 0},
		{"map dump", []string{targets.Name, "devices"}, 0},
		{"map dump", []string{targets.Name, "cpus"}, 0},
		{"map dump", []string{targets.Name, "map_array"}, 0},
		{"clean", []string{"--dry-run"}, 0},
		{"clean", nil, 0},
		{"run", []string{target.Name, sample("xdp_count"), "--count", "1", "--interval", "10ms"}, 0},
		{"plan", []string{"-f", state}, 1},
		{"apply", []string{"-f", state}, 1},
		{"apply", []string{"-f", state, "--dry-run"}, 1},
		{"export", []string{target.Name}, 0},
		{"history", nil, 0},
		{"load", []string{target.Name, pass}, 0},
		{"stats", []string{v.Name, legacy.Name, "--latency", "--count", "2", "--interval", "10ms"}, 0},
		{"trace", []string{v.Name, "--pcap", packets}, 0},
	} {
		if c.command == "features" && harness.KernelBefore(t, "6.3") {
			continue // it can't tell
		}
		stdout, stderr, exit := harness.Run(t, ours(), append(append(strings.Fields(c.command), "--json"), c.args...)...)
		if exit != c.exit {
			t.Errorf("%s %q: exit status %d, want %d\n%s%s", c.command, c.args, exit, c.exit, stdout, stderr)
			continue
		}
		isDocumented(t, c.command, stdout)
	}
	isDocumented(t, "map dump", follow(t, v, "map", "dump", "--json", "--watch", v.Name, "packets"))
	isDocumented(t, "trace", follow(t, v, "trace", "--json", "--live", v.Name))
}

// follow sends packets until the command has printed two lines, and interrupts it.
func follow(t *testing.T, v *harness.Veth, args ...string) string {
	t.Helper()
	p := harness.Start(t, ours(), args...)
	for range 2 {
		p.Stdout.LineWhile(t, 10*time.Millisecond, func() { v.Deliver(t, harness.UDP4(harness.Flow{})) })
	}
	p.Stop(t, os.Interrupt)
	return p.Stdout.String()
}

func writePcap(t *testing.T, path string, frames ...[]byte) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	w := pcapgo.NewWriter(f)
	must(t, w.WriteFileHeader(1<<16, layers.LinkTypeEthernet))
	for _, frame := range frames {
		must(t, w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Now(), CaptureLength: len(frame), Length: len(frame)}, frame))
	}
}

// isDocumented compares documents with the examples in their command's section.
func isDocumented(t *testing.T, command, text string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/json.md")
	must(t, err)
	_, section, _ := strings.Cut(string(page), "\n## "+command+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var examples []any
	for _, block := range regexp.MustCompile("(?ms)^```json\n(.*?)^```$").FindAllStringSubmatch(section, -1) {
		examples = append(examples, documents(t, block[1])...)
	}
	got := documents(t, text)
	if len(got) == 0 {
		t.Errorf("%s prints nothing", command)
	}
	if missing := undocumented(got, []any{examples}, ""); missing != nil {
		slices.Sort(missing)
		t.Errorf("%s --json has what no example in docs/json.md has: %s\n%s", command, strings.Join(slices.Compact(missing), ", "), text)
	}
}

func documents(t *testing.T, text string) (all []any) {
	t.Helper()
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		var v any
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		all = append(all, v)
	}
}

// undocumented are the fields of v that no example has, or only with another kind of
// value. What is in maps has any shape.
func undocumented(v any, examples []any, path string) (fields []string) {
	free := slices.Contains([]string{".entries.key", ".entries.value", ".entries.values.value", ".entries.sum", ".entries.per_second"}, path)
	sameKind := func(e any) bool { return free || fmt.Sprintf("%T", e) == fmt.Sprintf("%T", v) }
	if !slices.ContainsFunc(examples, sameKind) {
		return []string{path}
	}
	if free {
		return nil
	}
	switch v := v.(type) {
	case []any:
		var elements []any
		for _, e := range examples {
			if list, ok := e.([]any); ok {
				elements = append(elements, list...)
			}
		}
		for _, element := range v {
			fields = append(fields, undocumented(element, elements, path)...)
		}
	case map[string]any:
		for name, value := range v {
			var values []any
			for _, e := range examples {
				if object, ok := e.(map[string]any); ok {
					if e, ok := object[name]; ok {
						values = append(values, e)
					}
				}
			}
			fields = append(fields, undocumented(value, values, path+"."+name)...)
		}
	}
	return fields
}
