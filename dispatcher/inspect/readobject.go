package inspect

import (
	"context"

	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
)

// ReadFile reads an object file whole, for [xdp.Program].Data and [Read]: what is
// looked at, loaded and hashed are the same bytes then. It ends with ctx, also where
// nobody writes to the FIFO that file is. Errors: [xdp.ErrObject], also for a file of more
// than 64 MiB, and that of ctx.
func ReadFile(ctx context.Context, file string) ([]byte, error) { return object.ReadFile(ctx, file) }
