package protocol

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/cgo/libxdp"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// DispatcherObject is the file with libxdp's own dispatcher.
const DispatcherObject = "xdp-dispatcher.o"

// hostLibraries are where distributions have the host's libxdp, whose native tools share
// chains with xdpmux. Its objects lie in a directory bpf there.
var hostLibraries = []string{"/usr/local/lib*", "/usr/local/lib/*-linux-*", "/usr/lib*", "/usr/lib/*-linux-*"}

// HostDispatchers are the files with a dispatcher of the host's libxdp, the one that is
// in use first. Who needs no more than that one searches no more directories for it.
func HostDispatchers() iter.Seq[string] {
	return func(yield func(string) bool) {
		if dir := privilege.Getenv(privilege.EnvObjectPath); dir != "" {
			yield(filepath.Join(dir, DispatcherObject))
			return
		}
		first := ""
		if libxdp.ObjectDir != "" {
			file := filepath.Join(libxdp.ObjectDir, DispatcherObject)
			if _, err := os.Stat(file); err == nil {
				first = file
				if !yield(file) {
					return
				}
			}
		}
		for _, dir := range hostLibraries {
			found, _ := filepath.Glob(filepath.Join(dir, "bpf", DispatcherObject))
			for _, file := range found {
				if file != first && !yield(file) {
					return
				}
			}
		}
	}
}

// ErrNoHostDispatcher says that the host's libxdp has no dispatcher that can be used.
var ErrNoHostDispatcher = errors.New("the host's libxdp has no dispatcher that can be used")

// HostDispatcher is the dispatcher of the host's libxdp. Its file is looked for and read once, so it
// is good for one call: an upgrade of libxdp brings another one. The zero value is ready. It is for
// one goroutine.
type HostDispatcher struct {
	file string // empty: not looked for yet, or there is none
	data []byte
	err  error // why it can't be read
}

// Open opens the dispatcher, if its layout is known. The error is [ErrNoHostDispatcher] where xdpmux
// has to use its own.
func (h *HostDispatcher) Open() (*libbpf.Program, *Object, error) {
	if h.file == "" {
		for h.file = range HostDispatchers() {
			h.data, h.err = os.ReadFile(h.file)
			break
		}
	}
	switch {
	case h.file == "":
		return nil, nil, ErrNoHostDispatcher
	case h.err != nil:
		return nil, nil, errors.Join(ErrNoHostDispatcher, h.err)
	}
	prog, obj, err := openHost(h.data)
	if err != nil {
		return nil, nil, errors.Join(ErrNoHostDispatcher, fmt.Errorf("%s: %w", h.file, err))
	}
	return prog, obj, nil
}

func openHost(data []byte) (*libbpf.Program, *Object, error) {
	// By this name libbpf makes the same of the map's as it does for the file.
	obj, err := libbpf.OpenMem(data, libbpf.OpenOptions{Name: strings.TrimSuffix(DispatcherObject, ".o")})
	if err != nil {
		return nil, nil, err
	}
	prog, owned, err := (&Object{Object: obj}).only(DispatcherProgram)
	if err != nil {
		return nil, nil, err
	}
	if err := owned.check(); err != nil {
		owned.Close()
		return nil, nil, err
	}
	return prog, owned, nil
}

// HostVersion is the version of the dispatchers that the host's libxdp writes: that of
// its object, or else what the version of its library says. It is 0 where none is
// installed, and an error where LIBXDP_OBJECT_PATH names a directory without one.
func HostVersion() (int, error) {
	for file := range HostDispatchers() {
		version, err := VersionOf(file)
		if err == nil {
			return version, nil
		}
		if privilege.Getenv(privilege.EnvObjectPath) != "" {
			return 0, &xdp.Error{Kind: xdp.ErrInvalid, Err: err,
				Msg:    fmt.Sprintf("%s is set, and %s can't be used: %v", privilege.EnvObjectPath, file, err),
				Remedy: "have it name the directory of the host's libxdp, or unset it"}
		}
	}
	for _, dir := range hostLibraries {
		found, _ := filepath.Glob(filepath.Join(dir, "libxdp.so.1"))
		for _, file := range found {
			if target, err := filepath.EvalSymlinks(file); err == nil {
				if version := libraryVersion(filepath.Base(target)); version != 0 {
					return version, nil
				}
			}
		}
	}
	return 0, nil
}

// libraryVersion is the version of the dispatchers that a library writes by the name of
// its file, such as libxdp.so.1.5.0; 0: it isn't known.
func libraryVersion(name string) int {
	minor, _, _ := strings.Cut(strings.TrimPrefix(name, "libxdp.so.1."), ".")
	switch n, err := strconv.Atoi(minor); {
	case err != nil || n < 0:
		return 0
	case n < 3:
		return 1
	case n < 6:
		return 2
	}
	return 3
}

// VersionOf is the version of the protocol that a dispatcher's object file is for.
func VersionOf(file string) (int, error) {
	obj, err := libbpf.OpenFile(file, libbpf.OpenOptions{})
	if err != nil {
		return 0, err
	}
	defer obj.Close()
	return (&Object{Object: obj}).Version()
}

// The versions that xdpmux writes. Without a libxdp on the host, a new chain gets that
// which most native tools can read.
const (
	oldestWritten = 2
	NewestWritten = 3
	withoutLibxdp = 2
)

// Writes says whether xdpmux writes dispatchers of that version.
func Writes(version int) bool { return version >= oldestWritten && version <= NewestWritten }

// NewVersion is the version that a new chain gets: that of the host's libxdp, so that its
// tools can join, or the nearest that xdpmux writes.
func NewVersion() (int, error) {
	version, err := HostVersion()
	if version == 0 {
		return withoutLibxdp, err
	}
	return min(max(version, oldestWritten), NewestWritten), nil
}
