package desired

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestReadOnce: the object file is read once for all interfaces and all steps, so that
// what is recorded of it is true of what runs, whoever writes to the file meanwhile.
func TestReadOnce(t *testing.T) {
	harness.NoLeak(t)
	v, w := harness.NewVeth(t), harness.NewVeth(t)
	dir := t.TempDir()
	passVariant(t, dir, 2)
	watch, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(watch)
	// Without the close between two, the kernel would tell of only one open.
	if _, err := unix.InotifyAddWatch(watch, filepath.Join(dir, "variant.o"), unix.IN_OPEN|unix.IN_CLOSE); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "state.yaml")
	text := "interfaces: [{name: " + v.Name + ", programs: &p [{name: a, object: variant.o}]}, {name: " + w.Name + ", programs: *p}]"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	mustExit(t, 0, "apply", "-f", file)
	opened := 0
	for events := make([]byte, 4096); ; {
		n, err := unix.Read(watch, events)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for b := events[:n]; len(b) >= unix.SizeofInotifyEvent; b = b[unix.SizeofInotifyEvent+binary.NativeEndian.Uint32(b[12:]):] {
			if binary.NativeEndian.Uint32(b[4:])&unix.IN_OPEN != 0 {
				opened++
			}
		}
	}
	if opened != 1 {
		t.Errorf("the object was opened %d times", opened)
	}
	mustExit(t, 0, "apply", "-f", write(t, "empty.yaml", "interfaces: [{name: "+v.Name+"}, {name: "+w.Name+"}]"))
}

// TestStdin: a state comes through a pipe, too, and its objects are found from the
// working directory on.
func TestStdin(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	dir := t.TempDir()
	passVariant(t, dir, 2)
	state := "interfaces: [{name: " + v.Name + ", programs: [{name: a, object: variant.o}]}]"
	for _, c := range []struct {
		command, file, stdin string
		status               int
	}{
		{"plan", "-f -", state, 2},
		{"apply", "-", state, 0},
		{"plan", "-f -", state, 0},
		{"plan", "-f -", "interfaces: [", 1},
		{"apply", "-f -", "interfaces: [{name: " + v.Name + "}]", 0},
	} {
		stdout, stderr, status := harness.Run(t, "sh", "-c", `cd "$1" && printf %s "$2" | "$3" $4 $5`, "sh", dir, c.stdin, harness.Xdpmux(), c.command, c.file)
		if status != c.status {
			t.Errorf("%s %s: exit status %d, want %d\n%s%s", c.command, c.file, status, c.status, stdout, stderr)
		}
	}
}
