package inspect

import (
	"context"

	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
)

// ReadFile reads an object file whole, for [xdp.Program].Data and [Read]. So the bytes that are
// inspected, loaded and hashed are the same. ctx can end it, also if file is a FIFO that nobody
// writes to. Errors: [xdp.ErrObject], also for a file of more than 64 MiB, and that of ctx.
func ReadFile(ctx context.Context, file string) ([]byte, error) { return object.ReadFile(ctx, file) }
