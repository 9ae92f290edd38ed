package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/test/debian"
)

// addLibraries puts in the shared libraries, loader included, of every program in
// the tree.
func addLibraries(a archive, sys system) error {
	var queue []string
	for _, e := range a {
		if e.src != "" && e.mode&0o111 != 0 {
			queue = append(queue, e.src)
		}
	}
	done := map[string]bool{}
	dirs := sys.libraryDirs() // and those that programs name
	for len(queue) > 0 {
		file := queue[0]
		queue = queue[1:]
		if done[file] {
			continue
		}
		done[file] = true
		needs, err := sys.needs(file, &dirs)
		if err != nil {
			return err
		}
		for _, lib := range needs {
			if !a.has(sys.guestPath(lib)) {
				if err := a.file(sys.guestPath(lib), lib); err != nil {
					return fmt.Errorf("%s for the VM: %w", file, err)
				}
			}
		}
		queue = append(queue, needs...)
	}
	return nil
}

// needs lists the loader and the libraries that an ELF file names itself. A file that
// isn't ELF needs none. It adds the folders that the file names to dirs: the libraries
// that it needs may need others from there.
func (s system) needs(file string, dirs *[]string) ([]string, error) {
	f, err := elf.Open(file)
	var notELF *elf.FormatError
	if errors.As(err, &notELF) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var found []string
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			name, err := io.ReadAll(p.Open())
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			found = append(found, s.root+strings.TrimRight(string(name), "\x00"))
		}
	}
	if !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_DYNAMIC }) {
		return found, nil // static, or no program
	}
	libs, err := f.ImportedLibraries()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, tag := range []elf.DynTag{elf.DT_RUNPATH, elf.DT_RPATH} {
		paths, err := f.DynString(tag)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, path := range paths {
			for _, dir := range strings.Split(path, ":") {
				*dirs = append(*dirs, s.root+strings.ReplaceAll(dir, "$ORIGIN", filepath.Dir(s.guestPath(file))))
			}
		}
	}
	for _, lib := range libs {
		i := slices.IndexFunc(*dirs, func(dir string) bool { return isFile(filepath.Join(dir, lib)) })
		if i < 0 {
			return nil, fmt.Errorf("%s for the VM lacks its library %s", file, lib)
		}
		found = append(found, filepath.Join((*dirs)[i], lib))
	}
	return found, nil
}

// libraryDirs are where the loaders of the distributions look.
func (s system) libraryDirs() []string {
	var dirs []string
	for _, dir := range []string{"/lib/", "/usr/lib/", "/usr/local/lib/"} {
		dirs = append(dirs, s.root+dir+debian.Triplets[s.arch], s.root+dir)
	}
	return append(dirs, s.root+"/lib64", s.root+"/usr/lib64", s.root+"/usr/local/lib64")
}
