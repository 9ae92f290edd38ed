// Package bpf holds the BPF objects that are part of xdpmux: its own dispatchers, and the
// probes that package observe attaches to the programs of a chain.
//
// They are compiled from the C files in dispatcher and probe, and committed in objects. So a
// Go program that requires this module needs neither make nor clang. make generate compiles
// them anew.
package bpf

import "fmt"

// Dispatcher is the object with xdpmux's dispatcher for a version of libxdp's protocol, 2
// or 3. It hosts programs that the dispatcher of the installed libxdp can't.
func Dispatcher(version int) ([]byte, error) { return read(fmt.Sprintf("dispatcher-%d", version)) }

// Probe is the object compiled from probe/NAME.bpf.c.
func Probe(name string) ([]byte, error) { return read(name) }

func read(name string) ([]byte, error) {
	return objects.ReadFile("objects/" + target + "/" + name + ".o")
}
