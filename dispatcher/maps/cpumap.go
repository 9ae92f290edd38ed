package maps

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// cpuMapValue is what user space writes to a CPUMAP (struct bpf_cpumap_val).
type cpuMapValue struct {
	QueueSize uint32
	ProgFD    int32
}

// maxQueueSize is the kernel's limit for the queue of a CPUMAP entry, in packets.
const maxQueueSize = 16384

// onlineCPUs is where the kernel lists the CPUs that run.
const onlineCPUs = "/sys/devices/system/cpu/online"

// ParseCPUs reads a list of CPUs such as "0-3,6". Each has to be online. An empty list means all
// CPUs that are online. The result is sorted, without doubles. Errors: [xdp.ErrInvalid].
func ParseCPUs(list string) ([]int, error) {
	text, err := os.ReadFile(onlineCPUs)
	if err != nil {
		return nil, err
	}
	return parseCPUs(list, strings.TrimSpace(string(text)))
}

func parseCPUs(list, online string) ([]int, error) {
	there, err := expandCPUs(online)
	if err != nil || list == "" {
		return there, err
	}
	cpus, err := expandCPUs(list)
	if err != nil {
		return nil, err
	}
	for _, cpu := range cpus {
		if !slices.Contains(there, cpu) {
			return nil, noCPU(cpu, online)
		}
	}
	return cpus, nil
}

func noCPU(cpu int, online string) error {
	return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("there is no CPU %d", cpu), Remedy: "online: " + online}
}

// maxCPUs is more than Linux can have.
const maxCPUs = 1 << 16

func expandCPUs(list string) ([]int, error) {
	var cpus []int
	for part := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(part, "-")
		first, err := strconv.Atoi(low)
		last := first
		if err == nil && isRange {
			last, err = strconv.Atoi(high)
		}
		if err != nil || first > last || first < 0 || last >= maxCPUs {
			return nil, &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("%q is not a list of CPUs", list), Remedy: "such as 0-3,6"}
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus), nil
}

// FillCPUMap makes a CPUMAP take packets for these CPUs. Each gets a queue of that many packets,
// and a kernel thread on that CPU takes them out of it. On an error the map takes packets for none
// of the CPUs. It stands for bpf_map_update_elem.
//
// Errors: [xdp.ErrInvalid] for a map of another type, a CPU that doesn't exist or is
// beyond the map, and a queue size that the kernel refuses.
func FillCPUMap(m *Map, cpus []int, queueSize int) error {
	if m.typ != libbpf.MapTypeCPUMap {
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("map %s is a %s, not a cpumap", m.Name, m.Type)}
	}
	if queueSize < 1 || queueSize > maxQueueSize {
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("a queue of %d packets is refused", queueSize),
			Remedy: fmt.Sprintf("the kernel takes 1 to %d", maxQueueSize)}
	}
	if i := slices.IndexFunc(cpus, func(cpu int) bool { return cpu < 0 || cpu >= m.MaxEntries }); i >= 0 {
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("map %s has no room for CPU %d", m.Name, cpus[i]),
			Remedy: fmt.Sprintf("it takes CPUs 0 to %d", m.MaxEntries-1)}
	}
	for i, cpu := range cpus {
		err := m.Update(uint32(cpu), cpuMapValue{QueueSize: uint32(queueSize)})
		if err == nil {
			continue
		}
		for _, done := range cpus[:i] {
			err = errors.Join(err, m.Update(uint32(done), cpuMapValue{})) // a queue of 0 empties the entry
		}
		if errors.Is(err, syscall.ENODEV) {
			online, _ := os.ReadFile(onlineCPUs)
			return noCPU(cpu, strings.TrimSpace(string(online)))
		}
		return err
	}
	return nil
}

// CheckCPUMap returns an error of kind [xdp.ErrKernel] if the running kernel can't redirect
// the packets of programs that are attached in that mode to CPUs.
func CheckCPUMap(mode xdp.Mode) error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	return checkCPUMap(mode, unix.ByteSliceToString(name.Release[:]))
}

// checkCPUMap knows that generic XDP has CPUMAP since Linux 5.15. An older kernel takes the program
// and drops the packets.
func checkCPUMap(mode xdp.Mode, release string) error {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return nil // a kernel with a name of its own: it will tell
	}
	if mode != xdp.ModeSKB || major > 5 || major == 5 && minor >= 15 {
		return nil
	}
	return (&xdp.Error{Kind: xdp.ErrKernel, Msg: fmt.Sprintf("Linux %s can't redirect packets to CPUs in skb mode, it would drop them", release)}).
		Advise("it takes Linux 5.15 or newer, or a driver that can do it in %v", xdp.Hint{To: xdp.HintMode, Mode: xdp.ModeNative})
}
