package protocol

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// BPFFS is where libxdp looks for one.
func BPFFS() string {
	if dir := privilege.Getenv(privilege.EnvBPFFS); dir != "" {
		return dir
	}
	return "/sys/fs/bpf"
}

func IsBPFFS(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && st.Type == unix.BPF_FS_MAGIC
}

// CheckBPFFS is the error of a system without a bpffs; nil: there is one, or one is to be
// mounted where a chain needs it.
func CheckBPFFS() error {
	if IsBPFFS(BPFFS()) || privilege.Getenv(privilege.EnvAutomount) == "1" {
		return nil
	}
	return NoDispatcher("no bpffs is mounted at "+BPFFS(), nil)
}

// PrepareBPFFS makes sure that there is a bpffs with libxdp's directory in it, for a chain
// that is to be pinned.
func PrepareBPFFS() error {
	if !IsBPFFS(BPFFS()) {
		if err := CheckBPFFS(); err != nil {
			return err
		}
		if err := mountBPFFS(); err != nil {
			return NoDispatcher("no bpffs is mounted at "+BPFFS(), err)
		}
	}
	if err := os.Mkdir(PinRootDir(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return ExplainPins(err)
	}
	root, err := OpenPinRoot()
	if err != nil {
		return err
	}
	root.Close()
	return nil
}

// mountBPFFS mounts a bpffs. libxdp does so too where LIBXDP_BPFFS_AUTOMOUNT is set.
func mountBPFFS() error {
	if err := os.Mkdir(BPFFS(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return unix.Mount("bpf", BPFFS(), "bpf", 0, "mode=0700")
}

// PinRootDir is libxdp's directory, below which all dispatchers have theirs.
func PinRootDir() string { return BPFFS() + "/xdp" }

// PinRoot is libxdp's directory, opened. Nobody but root and the caller can put anything into
// it. So no path below it leads elsewhere, or is changed by others meanwhile.
type PinRoot struct{ fd int }

// OpenPinRoot opens libxdp's directory. The error is fs.ErrNotExist if there is no such
// directory, or no bpffs.
func OpenPinRoot() (*PinRoot, error) {
	if !IsBPFFS(BPFFS()) {
		return nil, fmt.Errorf("no bpffs is mounted at %s: %w", BPFFS(), fs.ErrNotExist)
	}
	// On a bpffs that anybody may write to, another user may have made the directory, or may
	// rename it.
	err := checkOwner(BPFFS(), unix.AT_FDCWD, BPFFS(), unix.S_ISVTX)
	fd := -1
	if err == nil {
		fd, err = openPins(unix.AT_FDCWD, PinRootDir(), PinRootDir())
	}
	if err != nil {
		return nil, ExplainPins(err)
	}
	return &PinRoot{fd: fd}, nil
}

// ExplainPins says in the user's words why pins can't be looked at or changed.
func ExplainPins(err error) error {
	var known *xdp.Error
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.As(err, &known) {
		return err
	}
	if refused := privilege.Denied(err); refused != nil {
		return refused
	}
	e := &xdp.Error{Kind: xdp.ErrSystem, Msg: "the pins of chains are out of reach: " + err.Error(), Err: err}
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		e.Kind, e.Remedy = xdp.ErrPermission, "run as root, or as the user who owns the directory"
	case errors.Is(err, unix.EROFS):
		e.Remedy = "make it writable: mount -o remount,rw " + BPFFS()
	}
	return e
}

// Close lets go of the directory, and of the lock that [LockPins] has taken. It is
// idempotent and takes a nil root.
func (r *PinRoot) Close() {
	if r != nil && r.fd >= 0 {
		unix.Close(r.fd)
		r.fd = -1
	}
}

// open opens a dispatcher's directory.
func (r *PinRoot) open(name string) (fd int, err error) {
	return openPins(r.fd, name, PinRootDir()+"/"+name)
}

// Has says whether a dispatcher has a directory of pins.
func (r *PinRoot) Has(name string) (bool, error) {
	fd, err := r.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	unix.Close(fd)
	return true, nil
}

// Create makes a dispatcher's directory.
func (r *PinRoot) Create(name string) error {
	err := unix.Mkdirat(r.fd, name, 0o700)
	if errors.Is(err, fs.ErrExist) {
		// Left behind by a dispatcher that had the same id after an overflow.
		if err = r.Remove(name); err == nil {
			err = unix.Mkdirat(r.fd, name, 0o700)
		}
	}
	return err
}

// Remove removes a dispatcher's directory with its pins. What isn't there is fine.
func (r *PinRoot) Remove(name string) error {
	fd, err := r.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	path := PinRootDir() + "/" + name
	pins, err := namesIn(fd, path)
	if err != nil {
		return err
	}
	for _, pin := range pins {
		if err := unix.Unlinkat(fd, pin, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &os.PathError{Op: "remove", Path: path + "/" + pin, Err: err}
		}
	}
	if err := unix.Unlinkat(r.fd, name, unix.AT_REMOVEDIR); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &os.PathError{Op: "remove", Path: path, Err: err}
	}
	return nil
}

// RemovePin removes a pin that lies in libxdp's directory itself.
func (r *PinRoot) RemovePin(name string) error {
	if err := unix.Unlinkat(r.fd, name, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &os.PathError{Op: "remove", Path: PinRootDir() + "/" + name, Err: err}
	}
	return nil
}

// Entries are the names of what is in libxdp's directory.
func (r *PinRoot) Entries() ([]string, error) {
	fd, err := unix.Openat(r.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: PinRootDir(), Err: err}
	}
	defer unix.Close(fd)
	return namesIn(fd, PinRootDir())
}

// Pins are the names of the pins in a directory. What isn't there has none.
func (r *PinRoot) Pins(name string) ([]string, error) {
	fd, err := r.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return namesIn(fd, PinRootDir()+"/"+name)
}

// namesIn are the names in a directory that was just opened. The package os takes a system call more
// to make a file of the descriptor.
func namesIn(fd int, path string) (names []string, err error) {
	var buffer [4096]byte
	for {
		n, err := unix.ReadDirent(fd, buffer[:])
		if err != nil {
			return nil, &os.PathError{Op: "readdir", Path: path, Err: err}
		}
		if n == 0 {
			return names, nil
		}
		_, _, names = unix.ParseDirent(buffer[:n], -1, names)
	}
}

// openPins opens a directory of pins. It refuses a link, and a directory that others than root
// and the caller may write to.
func openPins(at int, name, path string) (fd int, err error) {
	fd, err = unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		var st unix.Stat_t
		if unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			return -1, untrusted(path, "is a symbolic link")
		}
		return -1, untrusted(path, "is not a directory")
	}
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	if err := checkOwner(path, fd, "", 0); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// checkOwner refuses a directory that others than root and the caller own or may write to. If
// the directory has a bit of the mode sticky, others may write to it.
func checkOwner(path string, at int, name string, sticky uint32) error {
	var st unix.Stat_t
	if err := unix.Fstatat(at, name, &st, unix.AT_EMPTY_PATH); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	switch {
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return untrusted(path, fmt.Sprintf("belongs to user %d", st.Uid))
	case st.Mode&0o022 != 0 && st.Mode&sticky == 0:
		return untrusted(path, "can be written by other users")
	}
	return nil
}

// errUntrusted says that others may have put there what xdpmux finds.
var errUntrusted = errors.New("not root's alone")

func untrusted(path, why string) error {
	return &xdp.Error{Kind: xdp.ErrSystem, Err: errUntrusted,
		Msg: fmt.Sprintf("%s %s, and xdpmux follows nobody there", path, why),
		Remedy: fmt.Sprintf("look at it, and remove it unless a chain of yours has its pins there: rm -r %s; "+
			"chmod 0700 %s keeps other users from making it again", path, BPFFS())}
}

func NoDispatcher(reason string, err error) error {
	e := &xdp.Error{Kind: xdp.ErrNoDispatcher, Msg: "no dispatcher possible: " + reason, Err: err}
	if strings.HasPrefix(reason, "no bpffs") {
		e.Remedy = fmt.Sprintf("mount one: mount -t bpf -o mode=0700 bpf %s", BPFFS())
	}
	return e
}
