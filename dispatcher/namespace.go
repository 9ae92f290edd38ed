package dispatcher

import "github.com/xdpmux/xdpmux/dispatcher/internal/device"

// EnterNetns moves the calling thread into a network namespace, named as by ip
// netns or by the path of its file. Mounts stay those of the caller: the bpffs is
// the same inside. The goroutine has to be locked to its thread. It says whether
// the thread was elsewhere before. Errors: [xdp.ErrInvalid], [xdp.ErrPermission].
func EnterNetns(name string) (moved bool, err error) { return device.Enter(name) }
