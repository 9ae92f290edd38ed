//go:build static

package libxdp

// #cgo pkg-config: --static libxdp libbpf
// #cgo CFLAGS: -Wall
import "C"

// Static says whether libxdp is linked into the binary.
const Static = true
