//go:build !static

package libxdp

// The link flags stand in two files, not behind two conditions in one: go build's
// cache tells builds apart by their files.

// #cgo pkg-config: libxdp libbpf
// #cgo CFLAGS: -Wall
import "C"

// Static says whether libxdp is linked into the binary, as the build tag static has it.
const Static = false
