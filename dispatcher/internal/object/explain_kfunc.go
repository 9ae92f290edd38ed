package object

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	missing := missingFunctions(functions, "/sys/kernel/btf")
	if len(missing) == 0 {
		return (&xdp.Error{Kind: xdp.ErrKernel, Err: err,
			Msg: fmt.Sprintf("%s calls %s, which this kernel has in another shape, perhaps", o.Called, strings.Join(functions, ", "))}).
			Advise("declare them as this kernel does (bpftool btf dump file /sys/kernel/btf/vmlinux format c); %v", xdp.Hint{To: xdp.HintLibbpfLog})
	}
	e := &xdp.Error{Kind: xdp.ErrKernel, Err: err,
		Msg:    fmt.Sprintf("%s calls %s, which this kernel doesn't have", o.Called, strings.Join(missing, ", ")),
		Remedy: "it takes a kernel that has it, or the module that does, loaded"}
	if module := moduleOf(missing[0]); module != "" {
		e.Remedy = fmt.Sprintf("the kernel's module %s has it: modprobe %s", module, module)
	}
	return e
}

// missingFunctions are those that none of the kernel's types, nor those of its loaded
// modules, in dir, speak of.
func missingFunctions(names []string, dir string) (missing []string) {
	if len(names) == 0 {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return nil
	}
	known := map[string]bool{}
	for _, file := range files {
		types, err := os.ReadFile(file)
		if err != nil {
			return nil // it may be there: nobody can tell
		}
		for _, name := range names {
			known[name] = known[name] || bytes.Contains(types, []byte("\x00"+name+"\x00"))
		}
	}
	for _, name := range names {
		if !known[name] {
			missing = append(missing, name)
		}
	}
	return missing
}

// functionModules are the modules that have functions for XDP programs, by how these
// names begin (Linux 6.1 to 6.17).
var functionModules = []struct{ prefix, module string }{
	{"bpf_ct_set_nat_info", "nf_nat"},
	{"bpf_ct_", "nf_conntrack"},
	{"bpf_xdp_ct_", "nf_conntrack"},
	{"bpf_skb_ct_", "nf_conntrack"},
	{"bpf_xdp_flow_lookup", "nf_flow_table"},
	{"bpf_skb_get_fou_encap", "fou"},
	{"bpf_skb_set_fou_encap", "fou"},
	{"bpf_skb_get_xfrm_info", "xfrm_interface"},
	{"bpf_skb_set_xfrm_info", "xfrm_interface"},
}

func moduleOf(function string) string {
	for _, m := range functionModules {
		if strings.HasPrefix(function, m.prefix) {
			return m.module
		}
	}
	return ""
}
