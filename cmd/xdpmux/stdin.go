package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

// stdinName is what errors call standard input.
const stdinName = "standard input"

// readStdin reads standard input whole, if it has no more than limit bytes. It ends with
// ctx, whoever writes.
func readStdin(ctx context.Context, limit int) ([]byte, error) {
	data, err := interruptible(ctx, func() ([]byte, error) {
		return io.ReadAll(io.LimitReader(os.Stdin, int64(limit)+1))
	})
	if err == nil && len(data) > limit {
		return nil, usageError(fmt.Sprintf("%s has more than %d MiB, which is too much", stdinName, limit>>20), "")
	}
	return data, err
}

// interruptible does what can wait for others for ever, such as reading from a pipe: it
// returns when ctx ends, and leaves f behind, which ends with the process.
func interruptible[T any](ctx context.Context, f func() (T, error)) (T, error) {
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
