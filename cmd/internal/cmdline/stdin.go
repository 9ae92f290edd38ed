package cmdline

import (
	"context"
	"fmt"
	"io"
	"os"
)

// StdinName is what errors call standard input.
const StdinName = "standard input"

// ReadStdin reads standard input whole. More than limit bytes are an error. It ends with
// ctx, also where whoever writes goes on.
func ReadStdin(ctx context.Context, limit int) ([]byte, error) {
	data, err := Interruptible(ctx, func() ([]byte, error) {
		return io.ReadAll(io.LimitReader(os.Stdin, int64(limit)+1))
	})
	if err == nil && len(data) > limit {
		return nil, UsageError(fmt.Sprintf("%s has more than %d MiB, which is too much", StdinName, limit>>20), "")
	}
	return data, err
}

// Interruptible calls f, which may wait for others for ever, such as for the writer of a
// pipe. If ctx ends first it returns, and f goes on until the process ends.
func Interruptible[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	case r := <-done:
		return r.value, r.err
	}
}
