package protocol

import (
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// TestVersion reads the version that our dispatchers are declared with, and takes no other
// variable for one.
func TestVersion(t *testing.T) {
	for _, version := range []int{2, 3} {
		_, obj, err := OpenOwnDispatcher(version, false)
		if err != nil {
			t.Fatal(err)
		}
		defer obj.Close()
		if got, err := obj.Version(); got != version || err != nil {
			t.Errorf("version %d, %v, want %d", got, err, version)
		}
		for _, other := range []struct {
			name string
			kind libbpf.Kind
		}{{"config", libbpf.KindVar}, {"_license", libbpf.KindVar}, {"prog0", libbpf.KindFunc}} {
			id, err := obj.BTF().Find(other.name, other.kind)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := declared(obj.BTF(), id); err == nil {
				t.Errorf("%s is declared for %d", other.name, got)
			}
		}
		if got, err := declared(obj.BTF(), 1<<20); err == nil {
			t.Errorf("what isn't there is declared for %d", got)
		}
	}
}
