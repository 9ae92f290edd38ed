package object

import (
	"fmt"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// ChainFault says why a program of an object wouldn't load into a chain, as far as the
// object tells. It is empty if nothing in the object speaks against it.
func ChainFault(obj *File, p *libbpf.Program) string {
	btf := obj.BTF()
	if btf == nil {
		return "no BTF, so only alone, without a dispatcher; compile it with -g"
	}
	if fault := signatureFault(btf, p.Name(), obj.File.FunctionType(p.Name())); fault != "" {
		return fault
	}
	if obj.File.ReadsContext(p.Name(), egressIfindex) {
		return "it reads egress_ifindex, which only a program of a device map may"
	}
	return ""
}

// egressIfindex is where struct xdp_md has it.
const egressIfindex = 20

// signatureFault says how the function differs from the function of the dispatcher that it would
// replace: int prog(struct xdp_md *). The kernel compares them by BTF. id is the function's type
// there, 0 if the file doesn't say.
func signatureFault(btf *libbpf.BTF, name string, id uint32) string {
	const want = "the function has to be: int %s(struct xdp_md *ctx)"
	if id == 0 {
		var err error
		if id, err = btf.Find(name, libbpf.KindFunc); err != nil {
			return fmt.Sprintf("BTF doesn't know the function %s", name)
		}
	}
	proto := Follow(btf, id)
	if proto == nil || proto.Kind != libbpf.KindFuncProto || len(proto.Members) != 1 {
		return fmt.Sprintf(want, name)
	}
	result, arg := Follow(btf, proto.Ref), Follow(btf, proto.Members[0].Type)
	if result == nil || result.Kind != libbpf.KindInt || arg == nil || arg.Kind != libbpf.KindPtr {
		return fmt.Sprintf(want, name)
	}
	if ctx := Follow(btf, arg.Ref); ctx == nil || ctx.Kind != libbpf.KindStruct || ctx.Name != "xdp_md" {
		return fmt.Sprintf(want, name)
	}
	return ""
}
