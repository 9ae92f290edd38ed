//go:build mips || mips64 || ppc64 || s390x

package bpf

import "embed"

//go:embed objects/bpfeb
var objects embed.FS

const target = "bpfeb"
