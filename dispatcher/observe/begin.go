package observe

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// begin opens slots, so that something is counted in them. A group has the slots of the
// programs that a packet meets on one interface. All of a group count the same packets from
// the first one on.
//
// If the slots were opened while a packet is under way, only the later programs would count
// it. So a thread opens them on the very processor that they count for: while it runs, no
// packet is half way through a chain there. An interrupt may still bring packets between two
// of the slots. Then something has been counted before the last one was open, and the group
// begins anew.
func begin(groups [][]slot) {
	if len(groups) == 0 {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for cpu := range groups[0][0].cpus {
			var one unix.CPUSet
			one.Set(cpu)
			// The kernel refuses this if the processor is off, and then it has no
			// packets; or if this process may not run on it.
			_ = unix.SchedSetaffinity(0, &one)
			for _, group := range groups {
				beginOn(cpu, group)
			}
		}
	}()
	<-done
}

// beginOn begins with one group on one processor. It gives up after a while, as some packet
// may come each time.
func beginOn(cpu int, group []slot) {
	const tries = 1000
	for try := 1; ; try++ {
		for _, s := range group {
			s.open(cpu)
		}
		if try == tries || !counted(cpu, group) {
			return
		}
		for _, s := range group {
			s.entry(cpu).close()
		}
		for _, s := range group {
			s.entry(cpu).clear()
		}
	}
}

func counted(cpu int, group []slot) bool {
	for _, s := range group {
		if s.entry(cpu).read() != (Verdicts{}) {
			return true
		}
	}
	return false
}
