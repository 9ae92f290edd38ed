package desired

import (
	"os"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// batch is the swaps of one apply that wait together for the packets in their old chains.
type batch struct {
	dispatcher.Batch
	unfinished []string // the interfaces
}

// batchSize keeps the descriptors of the old chains below what a process may have open.
const batchSize = 32

// made is called after a swap, or after what should have been one. What begin has written down
// stays until the next one does, or the batch ends.
func (b *batch) made(r records, ifname string) {
	if b.unfinished = append(b.unfinished, ifname); len(b.unfinished) == batchSize {
		b.end(r)
	}
}

func (b *batch) end(r records) {
	b.End()
	b.unfinished = nil
	if file, err := r.underWayPath(); err == nil {
		os.Remove(file)
	}
}
