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
	info, err := os.Stat(name)
	switch {
	case err == nil && !info.Mode().IsRegular():
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.Write(data)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return CantWrite(name, err)
		}
		return nil
	case err == nil && !force:
		return AlreadyThere(name)
	}
	part := PartOf(name)
	err = os.WriteFile(part, data, 0o666)
	if err == nil {
		err = Rename(part, name, force)
	}
	if err != nil {
		os.Remove(part)
		return CantWrite(name, err)
	}
	return nil
}

// PartOf is what a file is called until it is written, beside its later name.
func PartOf(name string) string {
	return filepath.Join(filepath.Dir(name), fmt.Sprintf(".%s.%d", filepath.Base(name), os.Getpid()))
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
