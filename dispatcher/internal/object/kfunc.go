package object

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// missingInKernel is the error of an object that calls functions which the kernel doesn't have.
func missingInKernel(called string, missing []string, err error) error {
	e := &xdp.Error{Kind: xdp.ErrKernel, Err: err,
		Msg:    fmt.Sprintf("%s calls %s, which this kernel doesn't have", called, strings.Join(missing, ", ")),
		Remedy: "it takes a kernel that has it, or the module that does, loaded"}
	if module := moduleOf(missing[0]); module != "" {
		e.Remedy = fmt.Sprintf("the kernel's module %s has it: modprobe %s", module, module)
	}
	// A later function comes later in the alphabet, too.
	if version := metadataSince[missing[len(missing)-1]]; version != "" {
		e.Remedy = fmt.Sprintf("it takes Linux %s or newer", version)
	}
	return e
}

// missingFunctions are those that none of the kernel's types, nor those of its loaded
// modules, in the files of that pattern, speak of.
func missingFunctions(names []string, pattern string) (missing []string) {
	if len(names) == 0 {
		return nil
	}
	files, err := filepath.Glob(pattern)
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

// metadataSince is the first Linux that has a function for the metadata of packets.
var metadataSince = map[string]string{
	"bpf_xdp_metadata_rx_hash":      "6.3",
	"bpf_xdp_metadata_rx_timestamp": "6.3",
	"bpf_xdp_metadata_rx_vlan_tag":  "6.8",
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
