package object

import "github.com/xdpmux/xdpmux/cgo/libbpf"

// ChainFault says why a program of an object wouldn't load into a chain, as far as the
// object tells. It is empty if nothing in the object speaks against it.
func ChainFault(obj *File, p *libbpf.Program) string {
	if obj.File.ReadsContext(p.Name(), egressIfindex) {
		return "it reads egress_ifindex, which only a program of a device map may"
	}
	return ""
}

// egressIfindex is where struct xdp_md has it.
const egressIfindex = 20
