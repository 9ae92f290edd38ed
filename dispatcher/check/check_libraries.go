package check

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
)

// objectDirs are where distributions have their libxdp look for its dispatcher.
var objectDirs = []string{"/usr/local/lib*/bpf", "/usr/lib*/bpf", "/usr/lib/*-linux-*/bpf"}

// checkLibraries says which libraries are in use, and whether native tools have a
// libxdp that writes another version of dispatchers than ours; 0: that isn't known.
func checkLibraries(ours int) Check {
	const name = "libraries"
	text := fmt.Sprintf("libxdp %s, libbpf %s", dispatcher.LibxdpVersion(), dispatcher.LibbpfVersion())
	if ours == 0 {
		return ok(name, "%s", text)
	}
	text += fmt.Sprintf("; dispatchers are of version %d", ours)
	for _, dir := range objectDirs {
		files, _ := filepath.Glob(filepath.Join(dir, protocol.DispatcherObject))
		for _, file := range files {
			if theirs, err := versionOf(file); err == nil && theirs != ours {
				return Check{Name: name, State: Limited,
					Detail: fmt.Sprintf("%s, and that in %s is of version %d: native tools that use it can't change the same chains", text, file, theirs),
					Remedy: fmt.Sprintf("%s=%s has xdpmux use it too, as has building it with that libxdp", privilege.EnvObjectPath, filepath.Dir(file))}
			}
		}
	}
	return ok(name, "%s", text)
}

// versionOf reads the version of the protocol that a dispatcher's object is for.
func versionOf(file string) (int, error) {
	data, err := object.ReadFile(context.Background(), file)
	if err != nil {
		return 0, err
	}
	obj, err := object.OpenFile(file, data, libbpf.OpenOptions{})
	if err != nil {
		return 0, err
	}
	f := &protocol.Object{Object: obj.Object}
	defer f.Close()
	return f.Version()
}
