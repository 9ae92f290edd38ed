package harness

import (
	"errors"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// Lone loads a program of an object file to run without a dispatcher, as any loader does. change,
// if there is one, comes before the load. The program is closed at the end of the test.
func Lone(t testing.TB, file, name string, change func(*libbpf.Object)) *libbpf.Program {
	t.Helper()
	p, err := TryLone(t, file, name, change)
	if err != nil {
		t.Fatalf("load %s of %s: %v", name, file, err)
	}
	return p
}

// TryLone is Lone for a program that the kernel may refuse.
func TryLone(t testing.TB, file, name string, change func(*libbpf.Object)) (*libbpf.Program, error) {
	t.Helper()
	obj, err := libbpf.OpenFile(file, libbpf.OpenOptions{})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { obj.Close() })
	var chosen *libbpf.Program
	for _, p := range obj.Programs() {
		err = errors.Join(err, p.SetAutoload(p.Name() == name))
		if p.Name() == name {
			chosen = p
		}
	}
	if chosen == nil {
		return nil, errors.New("no such program")
	}
	if chosen.Type() != libbpf.ProgTypeXDP { // a section that libbpf doesn't know
		err = errors.Join(err, chosen.SetType(libbpf.ProgTypeXDP), chosen.SetExpectedAttachType(libbpf.AttachXDP))
	}
	for _, m := range obj.Maps() {
		err = errors.Join(err, m.SetPinPath(""))
	}
	if change != nil {
		change(obj)
	}
	return chosen, errors.Join(err, obj.Load())
}
