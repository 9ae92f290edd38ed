package cmdline

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// EnterNetns has the whole process act in a network namespace. A namespace belongs to a
// thread, and a goroutine may run on any thread. So EnterNetns moves one thread and starts
// the program anew from it. The new one finds itself in the namespace and goes on.
func EnterNetns(name string) error {
	runtime.LockOSThread()
	moved, err := dispatcher.EnterNetns(name)
	if err != nil || !moved {
		runtime.UnlockOSThread()
		return err
	}
	err = unix.Exec("/proc/self/exe", os.Args, os.Environ())
	return fmt.Errorf("start anew in network namespace %s: %w", name, err)
}
