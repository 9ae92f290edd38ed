package privilege

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// What libxdp reads from the environment.
const (
	EnvBPFFS          = "LIBXDP_BPFFS"
	EnvAutomount      = "LIBXDP_BPFFS_AUTOMOUNT"
	EnvSkipDispatcher = "LIBXDP_SKIP_DISPATCHER"
	EnvObjectPath     = "LIBXDP_OBJECT_PATH"
)

// Getenv reads a variable as libxdp does (secure_getenv(3)). A process with more rights than
// its caller doesn't let the caller say where to look.
func Getenv(name string) string {
	if MoreRights() {
		return ""
	}
	return os.Getenv(name)
}

// MoreRights stands for MoreRights of package dispatcher.
var MoreRights = sync.OnceValue(func() bool {
	const atSecure = 23
	auxv, err := unix.Auxv()
	for _, entry := range auxv {
		if entry[0] == atSecure {
			return entry[1] != 0
		}
	}
	return err != nil
})
