package protocol

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/xdpmux/xdpmux/bpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
)

// An upgrade of libxdp in the middle of a call leaves that call with the dispatcher that it has read.
func TestHostDispatcher(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(privilege.EnvObjectPath, dir)
	install := func(version int) {
		data, err := bpf.Dispatcher(version)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, DispatcherObject), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	opens := func(h *HostDispatcher, want int) {
		t.Helper()
		_, obj, err := h.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer obj.Close()
		if got, err := obj.Version(); got != want || err != nil {
			t.Errorf("version %d, %v, want %d", got, err, want)
		}
		if name := obj.Maps()[0].Name(); name != "xdp_disp.rodata" {
			t.Errorf("its map is %s", name)
		}
	}
	if _, _, err := (&HostDispatcher{}).Open(); !errors.Is(err, ErrNoHostDispatcher) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without one: %v", err)
	}
	install(2)
	var h HostDispatcher
	opens(&h, 2)
	install(3)
	opens(&h, 2)
	opens(&HostDispatcher{}, 3)
	if err := os.WriteFile(filepath.Join(dir, DispatcherObject), []byte("half of it"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := (&HostDispatcher{}).Open(); !errors.Is(err, ErrNoHostDispatcher) {
		t.Errorf("of another file: %v", err)
	}
}
