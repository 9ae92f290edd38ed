package command

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/inspect"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

var object = harness.Fixture("inspect")

// asNobody runs xdpmux inspect with no privilege at all and nothing in /sys.
func asNobody(t *testing.T, args ...string) string {
	t.Helper()
	return harness.MustRun(t, "unshare", append([]string{"--mount", "sh", "-c", `umount -l /sys && exec setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all "$@"`, "sh", harness.Xdpmux(), "inspect"}, args...)...)
}

// TestInspectSaysWhatTheKernelSays has inspect say of every program of every object that is here
// whether it would load, and then loads it.
func TestInspectSaysWhatTheKernelSays(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	var files []string
	for _, pattern := range []string{harness.Sample("*"), harness.Fixture("*"), "/usr/lib/*/bpf/*.o", "/native/*/usr/lib/*/bpf/*.o"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	chained, not := 0, 0
	for _, file := range files {
		stdout, stderr, status := harness.Run(t, harness.Xdpmux(), "inspect", "--json", file)
		if status != 0 {
			if name := filepath.Base(file); !slices.Contains([]string{"bigendian.o", "noprog.o", "oldmaps.o", "undefined.o"}, name) {
				t.Errorf("inspect %s: %s", file, stderr)
			}
			continue
		}
		var objects []inspect.Object
		if err := json.Unmarshal([]byte(stdout), &objects); err != nil {
			t.Fatal(err)
		}
		yes, no := compare(t, v, &objects[0])
		chained, not = chained+yes, not+no
	}
	if chained < 60 || not < 20 {
		t.Errorf("%d programs joined a chain, %d didn't", chained, not)
	}
}

// compare loads each program of an object, and fails the test if inspect has said something
// else. A file can't tell what the verifier refuses.
func compare(t *testing.T, v *harness.Veth, o *inspect.Object) (chained, not int) {
	t.Helper()
	for _, p := range o.Programs {
		program := xdp.Program{File: o.File}
		if p.Note != "" {
			program.Name = p.Name
		}
		_, err := dispatcher.Attach(t.Context(), v.Name, []xdp.Program{program}, dispatcher.AttachOptions{RequireDispatcher: true})
		switch {
		case err == nil && p.Chain:
			chained++
			check(t, v, p)
		case err == nil:
			t.Errorf("%s of %s: inspect says no (%s), and it loads", p.Name, o.File, p.Note)
		case p.Chain && !strings.Contains(err.Error(), "the verifier refused") && !strings.Contains(err.Error(), "which this kernel doesn't have"):
			t.Errorf("%s of %s: inspect says yes (%s), and load: %v", p.Name, o.File, p.Note, err)
		default:
			not++
		}
		if err == nil {
			if err := dispatcher.DetachAll(t.Context(), v.Name, dispatcher.DetachOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return chained, not
}

// TestInspectFunctionOfAnotherName has the type information call a function by another name. The
// kernel finds the type by the first instruction, not by the name.
func TestInspectFunctionOfAnotherName(t *testing.T) {
	harness.NoLeak(t)
	file := harness.EditSection(t, harness.Fixture("adjust_head"), ".BTF", func(btf []byte) {
		copy(btf, bytes.ReplaceAll(btf, []byte("\x00adjust_head\x00"), []byte("\x00another_one\x00")))
	})
	renamed, err := inspect.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	if chained, _ := compare(t, harness.NewVeth(t), renamed); chained != 1 {
		t.Errorf("%+v", renamed.Programs)
	}
}

// check compares with what runs.
func check(t *testing.T, v *harness.Veth, p inspect.ObjectProgram) {
	t.Helper()
	chain := harness.Status(t, v.Name)
	if c := chain.Programs[0]; c.Name != p.Name || c.Priority != p.Priority || c.Actions != p.Actions || chain.Frags != p.Frags {
		t.Errorf("%s: inspect says %d, %v, frags %v; %s runs with %d, %v, %v", p.Name, p.Priority, p.Actions, p.Frags, c.Name, c.Priority, c.Actions, chain.Frags)
	}
}

// TestInspectNeedsNothing has inspect work with no privilege at all and nothing in /sys.
func TestInspectNeedsNothing(t *testing.T) {
	if got := asNobody(t, "--json", object); !strings.Contains(got, `"name": "first"`) {
		t.Error(got)
	}
}

// TestInspectTailCalls has inspect say who is called by which slot, and load the one that none
// calls.
func TestInspectTailCalls(t *testing.T) {
	text := asNobody(t, harness.Fixture("tailcall"))
	for program, want := range map[string]string{
		"t_pass": "yes, called by calls[0]", "t_drop": "yes, called by calls[1]", "t_again": "yes, called by calls[4]",
		"t_entry": "yes", "t_entry_frags": "yes, with -n t_entry_frags",
	} {
		if !regexp.MustCompile(`(?m)^xdp\S* +` + program + ` .* ` + regexp.QuoteMeta(want) + `$`).MatchString(text) {
			t.Errorf("%s: no %q in:\n%s", program, want, text)
		}
	}
	var objects []inspect.Object
	if err := json.Unmarshal([]byte(asNobody(t, "--json", harness.Fixture("tailcall"))), &objects); err != nil {
		t.Fatal(err)
	}
	for _, p := range objects[0].Programs {
		if p.Name == "t_again" && !slices.Equal(p.CalledBy, []inspect.Slot{{Map: "calls", Slot: 4}}) {
			t.Errorf("%+v", p)
		}
	}
}

func TestInspectText(t *testing.T) {
	var lines []string // each without the spaces that align it
	for line := range strings.Lines(asNobody(t, object, harness.Fixture("metadata"))) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	for _, want := range []string{
		object + ": license BSD-2-Clause, with BTF",
		"Section Program Type Insns Prio Chain actions Frags Loads into a chain",
		"xdp first xdp 2 50 XDP_PASS no yes",
		"xdp/second second unspec 12 7 XDP_DROP,XDP_PASS no yes, with -n second",
		"xdp.frags third xdp 2 50 XDP_PASS yes yes, with -n third",
		"xdp_drop section_of_its_own unspec 2 50 XDP_PASS no yes, with -n section_of_its_own",
		"xdp/enum returns_enum unspec 2 50 XDP_PASS no yes, with -n returns_enum",
		"tc classifier sched_cls 2 - - no no, not an XDP program but sched_cls",
		"Map Type Key Value Max entries Pinning",
		"kept hash 4 8 16 by name",
		"xdp ask_hash xdp 28 50 XDP_PASS no yes, device-bound: calls bpf_xdp_metadata_rx_hash",
		"xdp ask_timestamp xdp 3 50 XDP_PASS no yes, with -n ask_timestamp, device-bound: calls bpf_xdp_metadata_rx_timestamp",
		"xdp metadata_pass xdp 2 50 XDP_PASS no yes, with -n metadata_pass",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in:\n%s", want, strings.Join(lines, "\n"))
		}
	}
}

// TestInspectSomeGood shows what is good beside what isn't, and standard input.
func TestInspectSomeGood(t *testing.T) {
	stdout, stderr, status := harness.Run(t, harness.Xdpmux(), "inspect", "nowhere.o", object, "neither.o")
	if status != 1 || !strings.HasPrefix(stdout, object+": license") || !strings.Contains(stderr, "can't open nowhere.o") || !strings.Contains(stderr, "can't open neither.o") {
		t.Errorf("exit status %d\n%s%s", status, stdout, stderr)
	}
	stdout, _, status = harness.Run(t, harness.Xdpmux(), "inspect", "--json", "nowhere.o", object)
	var objects []inspect.Object
	if err := json.Unmarshal([]byte(stdout), &objects); status != 1 || err != nil || len(objects) != 1 || objects[0].File != object {
		t.Errorf("exit status %d, %v\n%s", status, err, stdout)
	}
	want := strings.Replace(harness.MustRun(t, harness.Xdpmux(), "inspect", object), object, "standard input", 1)
	if got := harness.MustRun(t, "sh", "-c", "exec "+harness.Xdpmux()+" inspect - <"+object); got != want {
		t.Errorf("standard input:\n%s\nwant:\n%s", got, want)
	}
}

func TestInspectBadInput(t *testing.T) {
	dir := t.TempDir()
	empty, text := dir+"/empty.o", dir+"/text.o"
	for file, content := range map[string]string{empty: "", text: "#include <linux/bpf.h>\n"} {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	self, err := exec.LookPath(harness.Xdpmux())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "inspect needs at least one file"},
		{[]string{text}, text + " is not an ELF object"},
		{[]string{empty}, empty + " is not an ELF object"},
		{[]string{dir + "/nowhere.o"}, "can't open " + dir + "/nowhere.o: no such file or directory"},
		{[]string{self}, self + " is compiled for " + map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + ", not for BPF"},
		{[]string{harness.Fixture("noprog")}, "../../build/bpf/fixtures/noprog.o holds no BPF program"},
		{[]string{"-"}, "standard input is not an ELF object"}, // it is empty
	} {
		stdout, stderr, status := harness.Run(t, harness.Xdpmux(), append([]string{"inspect"}, c.args...)...)
		if status != 1 || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("inspect %v: status %d, %q\nwant %q\n got %q", c.args, status, stdout, c.want, stderr)
		}
	}
}
