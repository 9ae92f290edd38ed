package main

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// archive is the tree of an initramfs: what lies at which absolute path.
type archive map[string]entry

// entry is one file: data, or the contents of src, or a link to target.
type entry struct {
	mode   fs.FileMode // type and permissions
	data   []byte
	src    string
	target string
}

// clean maps the paths of a host with or without a merged /usr onto a merged one,
// where /bin, /sbin, /lib and /lib64 are links.
func clean(name string) string {
	name = path.Clean("/" + name)
	for _, dir := range []string{"/bin", "/sbin", "/lib", "/lib64"} {
		if strings.HasPrefix(name, dir+"/") {
			return "/usr" + name
		}
	}
	return name
}

func (a archive) put(name string, e entry) {
	name = clean(name)
	a[name] = e
	for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
		if _, ok := a[dir]; !ok {
			a[dir] = entry{mode: fs.ModeDir | 0o755}
		}
	}
}

func (a archive) has(name string) bool { _, ok := a[clean(name)]; return ok }

func (a archive) mkdir(names ...string) {
	for _, name := range names {
		a.put(name, entry{mode: fs.ModeDir | 0o755})
	}
}

func (a archive) text(name, contents string, mode fs.FileMode) {
	a.put(name, entry{mode: mode, data: []byte(contents)})
}

func (a archive) link(name, target string) {
	a.put(name, entry{mode: fs.ModeSymlink | 0o777, target: target})
}

// file takes a file of the host, or what a link of the host leads to.
func (a archive) file(name, src string) error {
	info, err := os.Stat(src)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", src)
	}
	a.put(name, entry{mode: info.Mode().Perm(), src: src})
	return nil
}

// write writes the tree in the format that the kernel unpacks: cpio "newc", see
// "initramfs buffer format" in the kernel's documentation.
func (a archive) write(out io.Writer) error {
	w := bufio.NewWriterSize(out, 1<<20)
	names := make([]string, 0, len(a))
	for name := range a {
		names = append(names, name)
	}
	slices.Sort(names) // a directory sorts before what is in it
	for i, name := range names {
		if err := writeEntry(w, i+1, name[1:], a[name]); err != nil {
			return err
		}
	}
	if err := writeEntry(w, 0, "TRAILER!!!", entry{}); err != nil {
		return err
	}
	return w.Flush()
}

func writeEntry(w *bufio.Writer, inode int, name string, e entry) error {
	const (
		typeDir, typeFile, typeLink = 0o040000, 0o100000, 0o120000
	)
	mode, links := uint32(e.mode.Perm()), 1
	body := e.data
	switch {
	case inode == 0: // the trailer has no type
	case e.mode.IsDir():
		mode, links = mode|typeDir, 2
	case e.mode&fs.ModeSymlink != 0:
		mode |= typeLink
		body = []byte(e.target)
	default:
		mode |= typeFile
		if e.src != "" {
			var err error
			if body, err = os.ReadFile(e.src); err != nil {
				return err
			}
		}
	}
	// magic, ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor,
	// rdevmajor, rdevminor, namesize, check
	n, err := fmt.Fprintf(w, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		inode, mode, 0, 0, links, 0, len(body), 0, 0, 0, 0, len(name)+1, 0, name)
	if err != nil {
		return err
	}
	pad(w, n)
	if _, err := w.Write(body); err != nil {
		return err
	}
	pad(w, len(body))
	return nil
}

// pad fills up to a multiple of four, as newc asks after header and body. An error
// shows in the next write.
func pad(w *bufio.Writer, n int) {
	for ; n%4 != 0; n++ {
		_ = w.WriteByte(0)
	}
}
