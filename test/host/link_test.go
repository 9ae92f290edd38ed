package host

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLink has a compiler that links statically, and one that does not, answer cgo/link.sh: it
// asks each once, says which way to link and why, and asks again when the compiler is another.
func TestLink(t *testing.T) {
	dir := t.TempDir()
	tried, file := filepath.Join(dir, "tried"), filepath.Join(dir, "build", "link")
	link := func(version, linker string) (stdout, stderr string) {
		t.Helper()
		cc := filepath.Join(dir, "cc")
		script := "#!/bin/sh\ncase \"$*\" in\n*print-file-name*) echo libx.a;;\n-dumpfullversion) echo " + version + ";;\n" +
			"*-static*) echo x >>" + tried + "; " + linker + ";;\n*) exit 9;;\nesac\n"
		if err := os.WriteFile(cc, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("../../cgo/link.sh", file)
		cmd.Env = append(os.Environ(), "CC="+cc)
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, said.String())
		}
		return string(out), said.String()
	}
	const missing = "echo \"ld: libelf.a(x.o): undefined reference to \\`eu_search_tree_init'\"; exit 1"
	for i, c := range []struct{ version, linker, stdout, stderr string }{
		{"1", missing, "dynamic\n", "link: dynamic, as a static link fails here: undefined reference to `eu_search_tree_init'\n"},
		{"1", missing, "dynamic\n", ""},
		{"2", "true", "static\n", "link: static, as a static link of libxdp, libbpf and libpcap succeeds\n"},
		{"2", "false", "static\n", ""},
	} {
		if stdout, stderr := link(c.version, c.linker); stdout != c.stdout || stderr != c.stderr {
			t.Errorf("%d: %q, %q; want %q, %q", i, stdout, stderr, c.stdout, c.stderr)
		}
	}
	if out, _ := os.ReadFile(tried); string(out) != "x\nx\n" {
		t.Errorf("tried to link %d times", strings.Count(string(out), "x"))
	}
	if left, err := filepath.Glob(file + ".*"); left != nil {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
