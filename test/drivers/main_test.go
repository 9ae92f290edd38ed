// Package drivers takes chains the whole road on the drivers that qemu can emulate, and on those
// that the kernel has of its own.
package drivers

import (
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

var ours = harness.Xdpmux()

// eachCards calls f for each pair of cards that the VM was booted with and whose driver has native
// XDP, or for those without.
func eachCards(t *testing.T, native bool, f func(t *testing.T, kind string, says cell)) {
	for _, kind := range []string{"virtio_net", "virtio_net-queues", "vmxnet3"} {
		driver, _, _ := strings.Cut(kind, "-")
		says := page(t, driver)
		if !harness.HasCards(kind) || says.native != native {
			continue
		}
		t.Run(kind, func(t *testing.T) {
			harness.NoLeak(t)
			f(t, kind, says)
		})
	}
}
