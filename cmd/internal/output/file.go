package output

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// WriteFile writes a file, all of it or nothing. - is standard output; a pipe or a device is
// written as it is. A file that is there is replaced by force only.
func (o *Printer) WriteFile(name string, data []byte, force bool) error {
	if name == "-" {
		_, err := o.Stdout.Write(data)
		return err
	}
	f, part, err := Create(name, force)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if part == "" {
		if err != nil {
			return CantWrite(name, err)
		}
		return nil
	}
	if err == nil {
		err = Rename(part, name, force)
	}
	if err != nil {
		return errors.Join(CantWrite(name, err), os.Remove(part))
	}
	return nil
}

// Create opens a new file beside its later name, part, which [Rename] gives it when all is
// written. What is there and is no file, such as a pipe or a device, is opened as it is, and part
// is empty. A file that is there is an error unless it may be replaced, by force.
func Create(name string, force bool) (f *os.File, part string, err error) {
	info, err := os.Stat(name)
	switch {
	case err == nil && !info.Mode().IsRegular():
		f, err = os.OpenFile(name, os.O_WRONLY, 0)
	case err == nil && !force:
		return nil, "", AlreadyThere(name)
	default:
		part = filepath.Join(filepath.Dir(name), fmt.Sprintf(".%s.%d", filepath.Base(name), os.Getpid()))
		f, err = os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	}
	if err != nil {
		return nil, "", CantWrite(name, err)
	}
	return f, part, nil
}

// Rename replaces a file that is there only by force.
func Rename(from, to string, force bool) error {
	if !force {
		err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
			return err
		}
		// A file system that doesn't know how, such as NFS.
		if _, err := os.Lstat(to); err == nil {
			return fs.ErrExist
		}
	}
	return os.Rename(from, to)
}

// AlreadyThere is the error of a file that isn't replaced.
func AlreadyThere(name string) error {
	return &xdp.Error{Kind: xdp.ErrInvalid, Err: fs.ErrExist, Msg: name + " is there already", Remedy: "choose another name; --force replaces it"}
}

// CantWrite is the error of a file that can't be written.
func CantWrite(name string, err error) *xdp.Error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return &xdp.Error{Kind: xdp.ErrInvalid, Err: err, Msg: fmt.Sprintf("can't write %s: %v", name, err)}
}
