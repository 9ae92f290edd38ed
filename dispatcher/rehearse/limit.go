package rehearse

import (
	"fmt"
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Limit is what a test run can't show of a program.
type Limit struct {
	Program xdp.Loaded `json:"program"` // ID 0 of one that would be loaded
	Why     string     `json:"why"`     // a sentence about the program, such as "it reads the clock, and ..."
}

// limitsOf are the limits of both chains, those of the first one first. A program that is in
// both is named once.
func limitsOf(sides ...*side) []Limit {
	all := []Limit{}
	for _, s := range sides {
		for i, p := range s.programs {
			for _, why := range s.limits[i] {
				if l := (Limit{p.Loaded, why}); !slices.Contains(all, l) {
					all = append(all, l)
				}
			}
		}
	}
	return all
}

// What helpers (enum bpf_func_id) and functions of the kernel a program calls whose results a
// test run can't show, and why.
var calls = []struct {
	helpers []int32
	kernel  []string // how the names begin
	why     string
}{
	// bpf_ktime_get_ns, jiffies64, ktime_get_boot_ns, ktime_get_coarse_ns, ktime_get_tai_ns; bpf_timer_*
	{helpers: []int32{5, 118, 125, 160, 208, 169, 170, 171, 172},
		why: "it reads the clock or sets timers, and the packets come without the time between them"},
	// bpf_get_prandom_u32
	{helpers: []int32{7}, why: "it draws random numbers, which are others in each run"},
	// bpf_redirect, bpf_redirect_map
	{helpers: []int32{23, 51}, why: "it redirects, and where packets would go, and whether that takes them, isn't tried"},
	// bpf_get_smp_processor_id, bpf_get_numa_node_id, bpf_map_lookup_percpu_elem
	{helpers: []int32{8, 42, 195}, kernel: []string{"bpf_get_smp_processor_id"},
		why: "it asks for the CPU, and all packets run on one"},
	{helpers: []int32{tailCall}, why: "it calls other programs (tail calls), and in the copy none is there to be called"},
	{kernel: []string{"bpf_ct_", "bpf_xdp_ct_", "bpf_skb_ct_", "bpf_xdp_flow_lookup"},
		why: "it asks for the kernel's connections or flows, and meets those that are there now"},
}

const tailCall = 12 // bpf_tail_call

// changing are functions that change what the kernel itself keeps. Of that there is no copy.
var changing = []string{"bpf_ct_insert_entry", "bpf_ct_change_timeout", "bpf_ct_change_status"}

// receiveQueue is where struct xdp_md has rx_queue_index.
const receiveQueue = 16

// limits are what a test run can't show of one program.
type limits struct {
	calls []string
	maps  map[uint32][]string // by the ids of the maps that it may use
}

// limitsOfCalls finds what a test run can't show by what the program calls. It is an error if
// the program changes what the kernel itself keeps.
func limitsOfCalls(o *object.Program) (whys []string, err error) {
	helpers, kernel, err := o.KernelCalls()
	if err != nil {
		return nil, err
	}
	if o.MakesTailCalls() { // an array that stays empty is named as such
		helpers = slices.DeleteFunc(helpers, func(h int32) bool { return h == tailCall })
	}
	for _, name := range kernel {
		if slices.Contains(changing, name) {
			return nil, &xdp.Error{Kind: xdp.ErrInvalid,
				Msg: fmt.Sprintf("program %q of %s can't be rehearsed: it calls %s, which changes the kernel's own connections", o.Bpf.Name(), o.Called, name)}
		}
	}
	for _, c := range calls {
		matters := slices.ContainsFunc(helpers, func(h int32) bool { return slices.Contains(c.helpers, h) }) ||
			slices.ContainsFunc(kernel, func(name string) bool {
				return slices.ContainsFunc(c.kernel, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
			})
		if matters {
			whys = append(whys, c.why)
		}
	}
	if o.Obj.File.ReadsContext(o.Bpf.Name(), receiveQueue) {
		whys = append(whys, "it asks for the receive queue, and all packets come in on queue 0")
	}
	return whys, nil
}

// of are those of a loaded copy: only the maps that it really uses matter.
func (l limits) of(progID uint32) ([]string, error) {
	info, err := loaded.ProgInfo(progID)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(l.calls)
	for _, id := range info.MapIDs {
		all = append(all, l.maps[id]...)
	}
	return all, nil
}
