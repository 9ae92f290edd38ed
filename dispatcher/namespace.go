package dispatcher

import "github.com/xdpmux/xdpmux/dispatcher/internal/device"

// EnterNetns moves the calling thread into a network namespace. name is one of ip netns, or
// the path of a namespace's file. Mounts stay those of the caller: the bpffs is the same
// inside. The goroutine has to be locked to its thread. moved says whether the thread was in
// another namespace before. Errors: [xdp.ErrInvalid], [xdp.ErrPermission].
func EnterNetns(name string) (moved bool, err error) { return device.Enter(name) }
