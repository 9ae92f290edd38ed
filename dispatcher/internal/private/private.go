// Package private makes directories that only their owner can read: what they hold tells who
// did what, and what maps hold.
package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// MakeOwnDir is MakeDir for a directory that has to be root's or the caller's: somebody else
// could lead what is written there elsewhere.
func MakeOwnDir(dir string) error {
	var info unix.Stat_t
	if err := unix.Stat(dir, &info); err != nil || info.Mode&0o077 != 0 {
		if err := MakeDir(dir); err != nil {
			return err
		}
		if err := unix.Stat(dir, &info); err != nil {
			return err
		}
	}
	if info.Uid != 0 && int(info.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d", dir, info.Uid)
	}
	return nil
}

// MakeDir makes a directory, and those above it, if it isn't there. It keeps everybody but its
// owner out of it, and of the files in it. An older xdpmux left such a directory open to all.
func MakeDir(dir string) error {
	err := restrict(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(dir, 0o700)
	}
	return err
}

// restrict takes the rights of others away from a directory and what is in it.
func restrict(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !f.Type().IsRegular() {
			continue
		}
		if err := os.Chmod(filepath.Join(dir, f.Name()), 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
