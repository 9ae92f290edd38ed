//go:build static

package libbpf

// #cgo pkg-config: --static libbpf
// #cgo CFLAGS: -Wall
import "C"
