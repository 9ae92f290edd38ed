package harness

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// NativeLoader is xdp-loader of another Debian suite, with the libxdp of that. It needs absolute
// paths of files. Only the VM has it.
func NativeLoader(t testing.TB, suite string) string {
	t.Helper()
	return native(t, "xdp-loader", suite)
}

// NativeXdpdump is xdpdump of another Debian suite.
func NativeXdpdump(t testing.TB, suite string) string {
	t.Helper()
	return native(t, "xdpdump", suite)
}

func native(t testing.TB, tool, suite string) string {
	t.Helper()
	tool += "-" + suite
	if _, err := exec.LookPath(tool); err != nil {
		needVM(t, "the native tools of Debian "+suite)
	}
	return tool
}

// DispatcherObject is libxdp's own dispatcher, of that version of the protocol.
func DispatcherObject(t testing.TB, version int) string {
	t.Helper()
	for _, pattern := range map[int][]string{
		2: {"/usr/lib/*/bpf", "/usr/lib64/bpf", "/usr/lib/bpf"},
		3: {"/native/sid/usr/lib/*/bpf"},
	}[version] {
		if files, err := filepath.Glob(pattern + "/xdp-dispatcher.o"); err == nil && len(files) == 1 {
			return files[0]
		}
	}
	needVM(t, "a libxdp that has it")
	return ""
}

// needVM ends a test that can't run here: it fails in the VM, which has everything, and
// is skipped elsewhere.
func needVM(t testing.TB, what string) {
	t.Helper()
	if _, err := exec.LookPath("/payload"); err == nil {
		t.Fatalf("the VM lacks %s", what)
	}
	t.Skipf("this machine lacks %s: make test-vm has it", what)
}
