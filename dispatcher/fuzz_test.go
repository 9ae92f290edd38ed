package dispatcher

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/inspect"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// FuzzObject has damaged objects read, by the C libraries too if they are let. What is
// refused is refused by its name.
func FuzzObject(f *testing.F) {
	for _, file := range []string{"../build/bpf/xdp_drop_ipv6_count.o", "../build/bpf/fixtures/barest.o", "../build/bpf/fixtures/kfunc.o"} {
		if data, err := os.ReadFile(file); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := inspect.Read("fuzzed.o", data)
		if err != nil {
			if !errors.Is(err, xdp.ErrObject) || !strings.Contains(err.Error(), "fuzzed.o") {
				t.Error(err)
			}
			return
		}
		for _, p := range o.Programs {
			if !p.XDP() {
				continue
			}
			if opened, err := object.Open(t.Context(), xdp.Program{File: "fuzzed.o", Data: data, Name: p.Name}); err == nil {
				opened.Obj.File.Calls(p.Name)
				opened.Close()
			} else if p.Chain {
				t.Errorf("inspect says that %q loads: %v", p.Name, err)
			}
		}
	})
}
