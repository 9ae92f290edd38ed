package bpf

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// TestLayout compares the configuration of our dispatcher with that of the installed
// libxdp's, of the version that this has. test/transaction compares the other versions, on
// chains that both write.
func TestLayout(t *testing.T) {
	installed, err := filepath.Glob("/usr/lib/*/bpf/xdp-dispatcher.o")
	if err != nil || len(installed) == 0 {
		t.Skip("no libxdp here has its dispatcher in a file")
	}
	theirs, err := os.ReadFile(installed[0])
	if err != nil {
		t.Fatal(err)
	}
	want := configuration(t, theirs)
	compared := 0
	for _, version := range []int{2, 3} {
		ours, err := Dispatcher(version)
		if err != nil {
			t.Fatal(err)
		}
		got := configuration(t, ours)
		if got.Size == want.Size {
			compared++
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("version %d (-libxdp +xdpmux):\n%s", version, diff)
			}
		}
	}
	if compared != 1 {
		t.Errorf("the installed libxdp has a configuration of %d bytes, and none of ours has", want.Size)
	}
}

// layout is a struct without the ids of its types.
type layout struct {
	Size    int
	Members []member
}

type member struct {
	Name      string
	BitOffset int
}

func configuration(t *testing.T, object []byte) layout {
	t.Helper()
	obj, err := libbpf.OpenMem(object, libbpf.OpenOptions{Name: "dispatcher"})
	if err != nil {
		t.Fatal(err)
	}
	defer obj.Close()
	id, err := obj.BTF().Find("xdp_dispatcher_config", libbpf.KindStruct)
	if err != nil {
		t.Fatal(err)
	}
	c, err := obj.BTF().Type(id)
	if err != nil {
		t.Fatal(err)
	}
	l := layout{Size: c.Size}
	for _, m := range c.Members {
		l.Members = append(l.Members, member{m.Name, m.BitOffset})
	}
	return l
}
