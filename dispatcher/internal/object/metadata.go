package object

import (
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher/internal/objectfile"
)

// metadataPrefix begins the names of the kernel's functions that ask a driver for what it
// knows of a packet (Documentation/networking/xdp-rx-metadata.rst).
const metadataPrefix = "bpf_xdp_metadata_"

// MetadataCalls are the functions by which a program may ask the driver for metadata of
// packets, itself or through functions of its object. The kernel takes such a program only
// bound to a device, and not before Linux 6.3.
func MetadataCalls(f *objectfile.File, function string) []string {
	_, calls := f.Calls(function)
	return slices.DeleteFunc(calls, func(name string) bool { return !strings.HasPrefix(name, metadataPrefix) })
}

// MetadataHere are those functions by which a program of an object that was read already asks for
// metadata on this kernel. Errors: [xdp.ErrKernel].
func MetadataHere(file string, data []byte, function string) ([]string, error) {
	f, err := objectfile.Parse(data)
	if err != nil {
		return nil, explainObject(file, err)
	}
	asks, lacking := metadataOf(f, function)
	if len(lacking) > 0 {
		return nil, missingInKernel(file, lacking, nil)
	}
	return asks, nil
}

// metadataOf finds out by which functions a program asks for metadata on this kernel, and which of
// them the kernel doesn't have. What the object can do without (__weak) counts only if the kernel
// has it: otherwise the kernel never sees the call.
func metadataOf(f *objectfile.File, function string) (asks, lacking []string) {
	calls := MetadataCalls(f, function)
	if len(calls) == 0 {
		return nil, nil
	}
	missing := missingFunctions(calls, "/sys/kernel/btf/vmlinux") // they are in no module
	needed := f.KernelFunctions()
	for _, name := range calls {
		isMissing := slices.Contains(missing, name)
		if isMissing && !slices.Contains(needed, name) {
			continue
		}
		asks = append(asks, name)
		if isMissing {
			lacking = append(lacking, name)
		}
	}
	return asks, lacking
}
