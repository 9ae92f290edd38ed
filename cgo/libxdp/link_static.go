//go:build static

package libxdp

// #cgo pkg-config: --static libxdp libbpf
// #cgo CFLAGS: -Wall
import "C"

// Static says whether libxdp is linked into the binary, as the build tag static has it.
const Static = true
