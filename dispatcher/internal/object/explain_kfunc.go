package object

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// ExplainKernelFunctions names the functions of the kernel that an object calls and this
// kernel lacks, or has in another shape. libbpf answers that by EINVAL, as it does much
// else. nil: that is not it.
func ExplainKernelFunctions(o *Program, err error) error {
	functions := o.Obj.File.KernelFunctions()
	if len(functions) == 0 || o.Obj.VerifierLog() != "" || !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ESRCH) {
		return nil
	}
	missing := missingFunctions(functions, "/sys/kernel/btf/*")
	if len(missing) == 0 {
		return (&xdp.Error{Kind: xdp.ErrKernel, Err: err,
			Msg: fmt.Sprintf("%s calls %s, which this kernel has in another shape, perhaps", o.Called, strings.Join(functions, ", "))}).
			Advise("declare them as this kernel does (bpftool btf dump file /sys/kernel/btf/vmlinux format c); %v", xdp.Hint{To: xdp.HintLibbpfLog})
	}
	return missingInKernel(o.Called, missing, err)
}
