// Package bpf holds the BPF programs that package observe attaches to the programs
// of a chain. make compiles them from the C files in bpf/probe.
package bpf

import "embed"

//go:embed all:probe/obj
var probes embed.FS

// Probe is the object file compiled from probe/NAME.bpf.c. A binary that was built
// without make has none.
func Probe(name string) ([]byte, error) { return probes.ReadFile("probe/obj/" + name + ".o") }
