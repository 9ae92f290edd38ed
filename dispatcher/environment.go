package dispatcher

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// What libxdp reads from the environment.
const (
	envBPFFS          = "LIBXDP_BPFFS"
	envAutomount      = "LIBXDP_BPFFS_AUTOMOUNT"
	envSkipDispatcher = "LIBXDP_SKIP_DISPATCHER"
	envObjectPath     = "LIBXDP_OBJECT_PATH"
)

// getenv reads a variable as libxdp does (secure_getenv(3)): a process that was given more
// rights than its caller has doesn't let the caller say where to look.
func getenv(name string) string {
	if moreRights() {
		return ""
	}
	return os.Getenv(name)
}

// moreRights stands for MoreRights of package dispatcher.
var moreRights = sync.OnceValue(func() bool {
	const atSecure = 23
	auxv, err := unix.Auxv()
	for _, entry := range auxv {
		if entry[0] == atSecure {
			return entry[1] != 0
		}
	}
	return err != nil
})
