package dispatcher

import "context"

// Batch puts off what follows a swap for the changes of many interfaces: they wait together, and
// once, for the packets that are still in the old chains, before the pins of those go. Until then
// it holds the old chains, about ten descriptors of each: end it every few dozen. A process that
// is killed before leaves their pins for [Clean]. The zero value is ready. It is for one goroutine.
type Batch struct {
	swaps []unfinished
	once  once
}

// Commit is that of the transaction. Its Warn is told of what follows the change when the batch
// ends.
func (b *Batch) Commit(ctx context.Context, t Transaction, ifname string) (*Committed, error) {
	return t.commit(ctx, ifname, b)
}

// End waits for the packets, and removes the pins of the old chains. The batch can be used again.
func (b *Batch) End() {
	finish(b.swaps...)
	for _, p := range b.swaps {
		p.close()
	}
	*b = Batch{}
}
