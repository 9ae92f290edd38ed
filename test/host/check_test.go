package host

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckHere compares what check says of the machine that the tests run on, whatever
// it can and whoever runs them, with what becomes of a chain there.
func TestCheckHere(t *testing.T) {
	dir := t.TempDir()
	install(t, dir, "install")
	object, err := filepath.Abs("../../build/bpf/xdp_pass.o")
	if err != nil {
		t.Fatal(err)
	}
	// A loopback and mounts of its own, where that is allowed. Elsewhere the caller may
	// not do anything to lo either.
	wrap := []string{"unshare", "--mount", "--net"}
	if os.Getuid() != 0 {
		wrap = append(wrap, "--user", "--map-root-user")
	}
	if out, err := exec.Command(wrap[0], append(wrap[1:], "true")...).CombinedOutput(); err != nil {
		t.Logf("without namespaces of its own: %s", out)
		wrap = []string{"env"}
	}
	const try = `
"$0" check lo >&2; echo "check $?"
"$0" load -m skb --require-dispatcher lo "$1" "$1" >&2; echo "load $?"
"$0" status lo | grep -c xdp_dispatcher
"$0" unload -a lo >&2`
	for _, before := range []string{"", "mount -t bpf -o mode=0700 bpf /sys/fs/bpf", "umount -l /sys/fs/bpf"} {
		var said strings.Builder
		cmd := exec.Command(wrap[0], append(wrap[1:], "sh", "-c", before+try, filepath.Join(dir, "bin/xdpmux"), object)...)
		cmd.Stderr = &said
		out, _ := cmd.Output() // the status is that of unload
		t.Logf("%q: %q", before, out)
		if got := string(out); got != "check 0\nload 0\n1\n" && got != "check 1\nload 1\n0\n" {
			t.Errorf("%q:\n%s%s", before, got, said.String())
		}
	}
}
