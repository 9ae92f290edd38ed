package desired

import (
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestBadInput: each fault is told, ends in exit status 1, and leaves the chain as
// it was, ids included. IF stands for the interface, OBJ for the directory of the
// objects.
func TestBadInput(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	dir := strings.TrimSuffix(object(t, "x"), "/x.o")
	fill := func(s string) string { return strings.NewReplacer("IF", v.Name, "OBJ", dir).Replace(s) }
	good := fill("interfaces: [{name: IF, programs: [{name: a, object: OBJ/xdp_pass.o}]}]")
	mustExit(t, 0, "apply", write(t, "good.yaml", good))
	chain := asJSON(t, harness.Status(t, v.Name))

	eleven := "interfaces:\n- name: IF\n  programs:\n"
	for _, name := range strings.Split("a b c d e f g h i j k", " ") {
		eleven += "  - {name: " + name + ", object: OBJ/xdp_pass.o}\n"
	}
	cases := []struct{ name, file, stderr string }{
		{"syntax", "interfaces: [", "xdpmux: FILE:2:1: did not find expected node content while parsing a flow node\n"},
		{"wrong key", "interfaces:\n- name: IF\n  program: []\n",
			"xdpmux: FILE:3:3: unknown key \"program\"\n  keys that can stand there: mode, name, programs\n"},
		{"two programs of one name", "interfaces:\n- name: IF\n  programs:\n  - {name: a, object: x.o}\n  - {name: a, object: y.o}\n",
			"xdpmux: FILE:5:5: IF has two programs \"a\"\n  the other is at FILE:4:5\n"},
		{"missing object", "interfaces: [{name: IF, programs: [{name: a, object: absent.o}]}]",
			"xdpmux: IF: FILE:1:ELSEWHERE: can't open DIR/absent.o: no such file or directory\n"},
		{"no such program", "interfaces: [{name: IF, programs: [{name: a, object: OBJ/xdp_pass.o, program: f}]}]",
			"xdpmux: IF: FILE:1:ELSEWHERE: OBJ/xdp_pass.o has no program \"f\"\n  its programs: xdp_pass (section xdp)\n"},
		{"absent interface", "interfaces: [{name: absent0, programs: [{name: a, object: OBJ/xdp_pass.o}]}]",
			"xdpmux: absent0: no interface \"absent0\" in this network namespace\n  ip link lists the interfaces\n"},
		{"another mode", "interfaces: [{name: IF, mode: skb, programs: [{name: a, object: OBJ/xdp_pass.o}]}]",
			"xdpmux: IF: the chain on IF is attached in native mode, and the file wants skb\n  say mode: native in the file, or unload the chain first: xdpmux unload -a IF\n"},
		{"eleven", eleven, "xdpmux: IF: IF would have 11 programs, and a chain takes 10\n  take some out of the file, or unload others\n"},
		{"no such map", "interfaces: [{name: IF, programs: [{name: a, object: OBJ/xdp_count.o, maps: {p: [{key: 0, value: 1}]}}]}]",
			"xdpmux: IF: FILE:1:ELSEWHERE: OBJ/xdp_count.o has no map \"p\"\n  its maps: packets\n"},
		{"wrong contents", "interfaces: [{name: IF, programs: [{name: a, object: OBJ/xdp_count.o, maps: {packets: [{key: 192.0.2.0/24, value: 1}]}}]}]",
			"xdpmux: IF: FILE:1:ELSEWHERE: map \"packets\": key 192.0.2.0/24 has 8 bytes, and 4 are wanted\n"},
		{"no such variable", "interfaces: [{name: IF, programs: [{name: a, object: OBJ/fixtures/globals_other.o, variables: {limit: 1}}]}]",
			"xdpmux: IF: FILE:1:ELSEWHERE: OBJ/fixtures/globals_other.o has no global variable \"limit\"\n  its variables: [\"last\" \"step\" \"total\" \"unit\"]; the compiler leaves out those that nothing uses\n"},
		{"wrong variable", "interfaces: [{name: IF, programs: [{name: a, object: OBJ/fixtures/policy.o, variables: {in_bss: 10.0.0.0/8}}]}]",
			"xdpmux: IF: FILE:1:ELSEWHERE: variable \"in_bss\": value 10.0.0.0/8 has 8 bytes, and 4 are wanted\n"},
		{"pins outside of a bpffs", "interfaces: [{name: IF, programs: [{name: a, object: OBJ/xdp_count.o, pin-path: /tmp/x}]}]",
			"xdpmux: IF: FILE:1:ELSEWHERE: pin path /tmp/x is not on a bpffs\n  choose a path below /sys/fs/bpf, where bpffs is mounted by: mount -t bpf -o mode=0700 bpf /sys/fs/bpf\n"},
		{"one entry too many", "interfaces: [{name: IF, programs: [{name: a, object: OBJ/xdp_count.o, maps: {packets: [{key: 1, value: 1}]}}]}]",
			"xdpmux: IF: map \"packets\" of OBJ/xdp_count.o takes 1 entries, and 01 00 00 00 is none of them or one too many\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			file := write(t, "state.yaml", fill(c.file))
			want := strings.NewReplacer("FILE", file, "DIR", strings.TrimSuffix(file, "/state.yaml")).Replace(fill(c.stderr))
			before, after, placed := strings.Cut(want, "ELSEWHERE")
			for _, command := range []string{"plan", "apply"} {
				if command == "plan" && c.name == "one entry too many" {
					continue // only the kernel knows
				}
				stdout, stderr, status := harness.Run(t, harness.Xdpmux(), command, "-f", file)
				if placed { // the column depends on the length of names
					_, rest, _ := strings.Cut(strings.TrimPrefix(stderr, before), ":")
					stderr, want = before+":"+rest, before+after
				}
				if status != 1 || stderr != want {
					t.Errorf("%s: exit status %d\n%sgot:\n%swant:\n%s", command, status, stdout, stderr, want)
				}
			}
			if now := asJSON(t, harness.Status(t, v.Name)); now != chain {
				t.Errorf("the chain is now\n%s and was\n%s", now, chain)
			}
		})
	}

	t.Run("refused", func(t *testing.T) {
		pins := "/sys/fs/bpf/xm-desired"
		file := write(t, "state.yaml", fill("interfaces: [{name: IF, programs: [{name: a, object: OBJ/fixtures/pinned.o, section: xdp/refused, pin-path: "+pins+"}]}]"))
		_, stderr, status := harness.Run(t, harness.Xdpmux(), "apply", "-f", file)
		if status != 1 || !strings.HasPrefix(stderr, "xdpmux: "+v.Name+": the verifier refused program \"refused\"") {
			t.Errorf("exit status %d\n%s", status, stderr)
		}
		if after := asJSON(t, harness.Status(t, v.Name)); after != chain {
			t.Errorf("the chain is now\n%s and was\n%s", after, chain)
		}
	})

	t.Run("legacy", func(t *testing.T) {
		other := harness.NewVeth(t)
		other.Attach(t, harness.Program(t, harness.Pass), harness.Native)
		file := write(t, "state.yaml", "interfaces: [{name: "+other.Name+", programs: [{name: a, object: "+object(t, "xdp_pass")+"}]}]")
		_, stderr, status := harness.Run(t, harness.Xdpmux(), "plan", "-f", file)
		if status != 1 || !strings.Contains(stderr, "attached without a dispatcher, and nothing can join that") {
			t.Errorf("exit status %d\n%s", status, stderr)
		}
		other.Attach(t, -1, harness.Native)
	})

	t.Run("others go on", func(t *testing.T) {
		other := harness.NewVeth(t)
		file := write(t, "state.yaml", fill("interfaces: [{name: absent0}, {name: IF, mode: skb, programs: [{name: a, object: OBJ/xdp_pass.o}]}, {name: "+
			other.Name+", programs: [{name: a, object: OBJ/xdp_pass.o}]}]"))
		stdout, stderr, status := harness.Run(t, harness.Xdpmux(), "apply", "-f", file)
		if status != 1 || !strings.Contains(stderr, "xdpmux: absent0: ") || !strings.Contains(stderr, "xdpmux: "+v.Name+": ") {
			t.Errorf("exit status %d\n%s%s", status, stdout, stderr)
		}
		if got := text(harness.Status(t, other.Name)); got != "50 xdp_pass XDP_PASS" {
			t.Errorf("%s runs %q", other.Name, got)
		}
	})
}
