package dispatcher

import "context"

// ReadObject reads an object file whole, for [Program].Data and [InspectData]: what is
// looked at, loaded and hashed are the same bytes then. It ends with ctx, also where
// nobody writes to the FIFO that file is. Errors: [ErrObject], also for a file of more
// than 64 MiB, and that of ctx.
func ReadObject(ctx context.Context, file string) ([]byte, error) { return readObject(ctx, file) }
