package host

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestGenerateCheck has the check of the embedded objects meet a source that they weren't
// compiled from, and another clang than the one that compiled them. That nothing differs
// otherwise is what make lint checks.
func TestGenerateCheck(t *testing.T) {
	named, err := os.ReadFile("../../bpf/objects/clang")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, version string
		status        int
		want          string
	}{
		{"a changed source", strings.TrimSpace(string(named)), 1, "run make generate"},
		{"another clang", "clang version 99.9.9", 0, "they are not compared"},
	} {
		root := t.TempDir()
		if err := os.CopyFS(filepath.Join(root, "bpf"), os.DirFS("../../bpf")); err != nil {
			t.Fatal(err)
		}
		source, err := os.OpenFile(filepath.Join(root, "bpf/probe/whole.bpf.c"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = source.WriteString("int further;\n")
		if err := source.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		clang := filepath.Join(root, "clang")
		script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" != --version ] || { echo '%s'; exit; }\nexec clang \"$@\"\n", c.version)
		if err := os.WriteFile(clang, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(filepath.Join(root, "bpf/generate.sh"), "--check")
		cmd.Env = append(os.Environ(), "CLANG="+clang)
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != c.status || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: exit status %d, want %d and %q\n%s", c.what, got, c.status, c.want, out)
		}
	}
}
