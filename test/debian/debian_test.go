package debian

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	failed := errors.New("failed")
	if err := Once(dir, func(tmp string) error {
		if err := os.WriteFile(filepath.Join(tmp, "half"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		return failed
	}); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 0 {
		t.Errorf("a failed fill left %v, %v", left, err)
	}
	fills := 0
	for range 2 {
		if err := Once(dir, func(tmp string) error {
			fills++
			return os.WriteFile(filepath.Join(tmp, "file"), nil, 0o644)
		}); err != nil {
			t.Fatal(err)
		}
	}
	if fills != 1 || !exists(filepath.Join(dir, "file")) {
		t.Errorf("filled %d times", fills)
	}
}

func TestKeepLinksInside(t *testing.T) {
	root := t.TempDir()
	links := map[string]string{"sbin/ip": "/bin/ip", "lib/so": "so.1", "etc/deep/x": "/bin/ip"}
	for name, target := range links {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(target, path)); err != nil {
			t.Fatal(err)
		}
	}
	if err := keepLinksInside(root); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"sbin/ip": "../bin/ip", "lib/so": "so.1", "etc/deep/x": "../../bin/ip"} {
		if got, err := os.Readlink(filepath.Join(root, name)); err != nil || got != want {
			t.Errorf("%s: got %s, %v; want %s", name, got, err, want)
		}
	}
}
