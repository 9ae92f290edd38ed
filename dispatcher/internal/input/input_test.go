package input

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	file, fifo := filepath.Join(dir, "file"), filepath.Join(dir, "fifo")
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // a MiB, more than a pipe holds
	if err := errors.Join(os.WriteFile(file, content, 0o600), unix.Mkfifo(fifo, 0o600)); err != nil {
		t.Fatal(err)
	}
	sparse, err := os.Create(filepath.Join(dir, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer sparse.Close()
	if err := sparse.Truncate(1 << 40); err != nil {
		t.Fatal(err)
	}

	if data, err := ReadFile(t.Context(), file, 1<<20); err != nil || !bytes.Equal(data, content) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	for _, path := range []string{file, sparse.Name(), "/dev/zero"} {
		if _, err := ReadFile(t.Context(), path, 1<<20-1); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := ReadFile(t.Context(), filepath.Join(dir, "absent"), 1); !errors.Is(err, fs.ErrNotExist) || err.Error() != "no such file or directory" {
		t.Error(err)
	}
	if _, err := ReadFile(t.Context(), dir, 1); err == nil || err.Error() != "is a directory" {
		t.Error(err)
	}

	// A FIFO is read to the end that its writer makes, also when there is nothing in it.
	for _, text := range [][]byte{content, nil} {
		written := make(chan error, 1)
		go func() {
			w, err := os.OpenFile(fifo, os.O_WRONLY, 0)
			if err == nil {
				_, err = w.Write(text)
				err = errors.Join(err, w.Close())
			}
			written <- err
		}()
		if data, err := ReadFile(t.Context(), fifo, 1<<20); err != nil || !bytes.Equal(data, text) {
			t.Errorf("%d bytes of %d, %v", len(data), len(text), err)
		}
		if err := <-written; err != nil {
			t.Error(err)
		}
	}
}

// TestReadFileEnds: the context ends the wait for one who never writes, and for one who
// never ends.
func TestReadFileEnds(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, written := range []bool{false, true} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if written {
			w, err := os.OpenFile(fifo, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if _, err := w.WriteString("not all"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := ReadFile(ctx, fifo, 1<<20); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("written: %v: %v", written, err)
		}
		cancel()
	}
}
