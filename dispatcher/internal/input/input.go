// Package input reads files that users name: no more than a limit, and no longer than a
// context lasts. A file can be a FIFO to which nobody writes, or /dev/zero.
package input

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrTooLarge says that there is more to read than the limit.
var ErrTooLarge = errors.New("too large")

// ReadFile reads a file whole. Its errors are without the path: those of the system,
// that of ctx, and [ErrTooLarge] for a file of more than limit bytes.
func ReadFile(ctx context.Context, path string, limit int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// The open must not wait for somebody who writes to a FIFO: nothing could end that wait.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, bare(err)
	}
	if info.Mode().IsRegular() && info.Size() > limit {
		return nil, tooLarge(limit)
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if info.Mode()&fs.ModeNamedPipe != 0 {
		err = waitForWriter(f)
	}
	var data []byte
	if err == nil {
		data, err = readAll(f, limit, info.Size())
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return data, bare(err)
}

// waitForWriter waits until a FIFO has something to read, or has had a writer. A read before
// that would find its end.
func waitForWriter(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0 || err != nil && !errors.Is(err, syscall.EINTR)
	})
}

// readAll reads until the end, which is expected after that many bytes.
func readAll(r io.Reader, limit, expected int64) ([]byte, error) {
	data := make([]byte, 0, max(512, min(expected, limit)+1))
	for {
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case int64(len(data)) > limit:
			return nil, tooLarge(limit)
		case errors.Is(err, io.EOF):
			return data, nil
		case err != nil:
			return nil, err
		}
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
	}
}

func tooLarge(limit int64) error {
	return fmt.Errorf("it has more than %d MiB, and is %w", limit>>20, ErrTooLarge)
}

// bare is an error without the operation and the path.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
