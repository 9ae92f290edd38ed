// Package drivers takes chains the whole road on the drivers that qemu can emulate, and on those
// that the kernel has of its own.
package drivers

import (
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

var ours = harness.Xdpmux()

// kinds are the pairs of cards that the VM was booted with and whose driver has native XDP.
func kinds(t *testing.T) (all []string) {
	for _, kind := range []string{"virtio_net", "virtio_net-queues", "vmxnet3"} {
		if harness.HasCards(kind) && (kind != "vmxnet3" || !harness.KernelBefore(t, "6.6")) {
			all = append(all, kind)
		}
	}
	return all
}

// eachCards calls f for each of kinds.
func eachCards(t *testing.T, f func(t *testing.T, kind string)) {
	for _, kind := range kinds(t) {
		t.Run(kind, func(t *testing.T) {
			harness.NoLeak(t)
			f(t, kind)
		})
	}
}
