package dispatcher

import (
	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// Tag is the tag that p has when it is loaded, in a chain or not: the kernel alone
// can tell it, so p is loaded and let go at once. It stands for bpf_object__load.
// Errors: [ErrInvalid], [ErrObject], [ErrVerifier], [ErrPermission].
func (p Program) Tag() (string, error) {
	p.PinPath = "" // nothing is pinned
	o, err := p.open()
	if err != nil {
		return "", err
	}
	defer o.close()
	if err := o.checkMaps(); err != nil {
		return "", err
	}
	if _, err := recorded(o.obj.Load); err != nil {
		if log := o.obj.VerifierLog(); log != "" {
			return "", explainVerifier(o, log, err)
		}
		if fault := explainKernelFunctions(o, err); fault != nil {
			return "", fault
		}
		return "", explainPermission(err)
	}
	info, err := libbpf.ProgInfoByFD(o.bpf.FD())
	if err != nil {
		return "", err
	}
	return info.Tag.String(), nil
}
