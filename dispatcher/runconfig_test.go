package dispatcher

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/cgo/libxdp"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// TestRunConfig holds what is read of run configurations to what libxdp reads of them,
// for all programs that are here.
func TestRunConfig(t *testing.T) {
	compared, refused := 0, 0
	for _, pattern := range []string{"../build/bpf/*.o", "../build/bpf/fixtures/*.o", "/usr/lib/*/bpf/*.o"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			obj, err := object.OpenFile(file, data, libbpf.OpenOptions{})
			if err != nil {
				if !slices.Contains([]string{"bigendian.o", "oldmaps.o", "undefined.o"}, filepath.Base(file)) {
					t.Error(err)
				}
				continue
			}
			for _, p := range obj.Programs() {
				priority, actions, ours := obj.Place(file, p.Name())
				x, theirs := libxdp.FromObject(obj.Object, p.Name())
				if len(p.Name()) > 98 { // libxdp has no room for more
					if theirs == nil || ours != nil {
						t.Errorf("%s of %s: %v, libxdp %v", p.Name(), file, ours, theirs)
					}
					continue
				}
				compared++
				if theirs != nil {
					refused++
					if ours == nil {
						t.Errorf("%s of %s: libxdp says %v", p.Name(), file, theirs)
					}
					continue
				}
				var want xdp.Actions
				for v := range xdp.NumVerdicts {
					if x.ChainCallEnabled(uint32(v)) {
						want |= 1 << v
					}
				}
				if ours != nil || priority != x.RunPrio() || actions != want {
					t.Errorf("%s of %s: %d, %v, %v, and libxdp has %d, %v", p.Name(), file, priority, actions, ours, x.RunPrio(), want)
				}
				x.Close()
			}
			obj.Close()
		}
	}
	if compared < 60 || refused < 8 {
		t.Errorf("%d programs compared, %d of them refused", compared, refused)
	}
}
