package dispatcher

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// cpuMapValue is what user space writes to a CPUMAP (struct bpf_cpumap_val).
type cpuMapValue struct {
	QueueSize uint32
	ProgFD    int32
}

// maxQueueSize is the kernel's limit for the queue of a CPUMAP entry, in packets.
const maxQueueSize = 16384

// FillCPUMap makes a CPUMAP take packets for these CPUs, each with a queue of so
// many packets, through which a kernel thread of that CPU gets them. On an error it
// takes none that it didn't before.
//
// Errors: [ErrInvalid] for a map of another type, a CPU that doesn't exist and a
// queue size that the kernel refuses.
func FillCPUMap(m *Map, cpus []int, queueSize int) error {
	if m.Type != "cpumap" {
		return &Error{Kind: ErrInvalid, Msg: fmt.Sprintf("map %s is a %s, not a cpumap", m.Name, m.Type)}
	}
	if queueSize < 1 || queueSize > maxQueueSize {
		return &Error{Kind: ErrInvalid, Msg: fmt.Sprintf("a queue of %d packets for each CPU is refused", queueSize),
			Remedy: fmt.Sprintf("the kernel takes 1 to %d", maxQueueSize)}
	}
	for i, cpu := range cpus {
		err := error(syscall.ENODEV)
		if cpu >= 0 && cpu < m.MaxEntries {
			err = m.Update(uint32(cpu), cpuMapValue{QueueSize: uint32(queueSize), ProgFD: 0})
		}
		if err == nil {
			continue
		}
		for _, done := range cpus[:i] {
			err = errors.Join(err, m.Update(uint32(done), cpuMapValue{}))
		}
		return explainCPU(cpu, m, err)
	}
	return nil
}

func explainCPU(cpu int, m *Map, err error) error {
	if !errors.Is(err, syscall.ENODEV) {
		return &Error{Kind: ErrSystem, Err: err, Msg: fmt.Sprintf("the kernel refuses CPU %d in map %s: %s", cpu, m.Name, cause(err))}
	}
	possible, readErr := os.ReadFile("/sys/devices/system/cpu/possible")
	e := &Error{Kind: ErrInvalid, Err: err, Msg: fmt.Sprintf("there is no CPU %d", cpu)}
	if readErr == nil {
		e.Remedy = "the CPUs of this machine: " + strings.TrimSpace(string(possible))
	}
	return e
}

// CheckCPUMap says whether packets of programs that are attached in that mode can
// be redirected through a CPUMAP on the running kernel. Errors: [ErrKernel].
func CheckCPUMap(mode Mode) error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	return checkCPUMap(mode, unix.ByteSliceToString(name.Release[:]))
}

// checkCPUMap knows that generic XDP has CPUMAP since Linux 5.15: before, the
// kernel took the program and dropped the packets.
func checkCPUMap(mode Mode, release string) error {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return nil // a kernel with a name of its own: it will tell
	}
	if mode != ModeSKB || major > 5 || major == 5 && minor >= 15 {
		return nil
	}
	return &Error{Kind: ErrKernel,
		Msg:    fmt.Sprintf("Linux %s can't redirect packets to CPUs in skb mode, it would drop them", release),
		Remedy: "it takes Linux 5.15 or newer, or a driver that can do native mode: -m native"}
}
