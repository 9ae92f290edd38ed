//go:build 386 || amd64 || arm || arm64 || loong64 || mips64le || mipsle || ppc64le || riscv64

package bpf

import "embed"

//go:embed objects/bpfel
var objects embed.FS

const target = "bpfel"
