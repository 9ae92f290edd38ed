//go:build static

package libxdp

// #cgo pkg-config: --static libxdp libbpf
// #cgo CFLAGS: -Wall
import "C"
