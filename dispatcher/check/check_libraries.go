package check

import (
	"fmt"
	"path/filepath"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
)

// checkLibraries says which libraries are in use, what the host's native tools can share,
// and whether a second libxdp writes another version of dispatchers.
func checkLibraries() Check {
	const name = "libraries"
	text := fmt.Sprintf("libxdp %s, libbpf %s", dispatcher.LibxdpVersion(), dispatcher.LibbpfVersion())
	theirs, err := protocol.HostVersion()
	if err != nil {
		return found(name, "", Missing, "", err) // no new chain knows its version
	}
	ours, _ := protocol.NewVersion()
	text += fmt.Sprintf("; new dispatchers are of version %d", ours)
	switch {
	case theirs == 0:
		return ok(name, "%s, as no libxdp is installed that native tools would use", text)
	case theirs != ours:
		return Check{Name: name, State: Limited,
			Detail: fmt.Sprintf("%s, and those of the installed libxdp of version %d: its native tools can't change the same chains", text, theirs),
			Remedy: "a libxdp from 1.3 to 1.6 shares them"}
	}
	for file := range protocol.HostDispatchers() {
		if other, err := protocol.VersionOf(file); err == nil && other != ours {
			return Check{Name: name, State: Limited,
				Detail: fmt.Sprintf("%s, and that in %s is of version %d: native tools that use it can't change the same chains", text, file, other),
				Remedy: fmt.Sprintf("%s=%s has xdpmux use it too", privilege.EnvObjectPath, filepath.Dir(file))}
		}
	}
	return ok(name, "%s", text)
}
