package rehearse

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// oneCPU keeps the calling thread on one CPU. Both chains run there: on two, programs with
// per-CPU maps would see different values, and say different things of the same packet.
type oneCPU struct {
	cpu    int
	before unix.CPUSet
}

// onOneCPU locks the goroutine to its thread, and the thread to the first CPU that it may
// run on.
func onOneCPU() (*oneCPU, error) {
	runtime.LockOSThread()
	o := &oneCPU{}
	if err := unix.SchedGetaffinity(0, &o.before); err != nil {
		runtime.UnlockOSThread()
		return nil, os.NewSyscallError("sched_getaffinity", err)
	}
	for !o.before.IsSet(o.cpu) {
		o.cpu++
	}
	var one unix.CPUSet
	one.Set(o.cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		runtime.UnlockOSThread()
		return nil, os.NewSyscallError("sched_setaffinity", err)
	}
	return o, nil
}

// close gives the thread back. If it can't be put right, it stays the goroutine's, and ends with
// it.
func (o *oneCPU) close() error {
	if o == nil {
		return nil
	}
	if err := unix.SchedSetaffinity(0, &o.before); err != nil {
		return os.NewSyscallError("sched_setaffinity", err)
	}
	runtime.UnlockOSThread()
	return nil
}
