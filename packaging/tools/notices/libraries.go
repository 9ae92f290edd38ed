package main

import (
	"bufio"
	"compress/gzip"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// libraries are those of C that can be in a command. A command that has the symbol has the library.
var libraries = []struct {
	name, symbol string
	packages     string // Debian's, as a pattern
	license      string
}{
	{"libxdp", "xdp_program__attach", "libxdp-dev", "LGPL-2.1-only OR BSD-2-Clause"},
	{"libbpf", "bpf_object__open", "libbpf-dev", "LGPL-2.1-only OR BSD-2-Clause"},
	{"libelf", "elf_begin", "libelf-dev", "GPL-2.0-or-later OR LGPL-3.0-or-later"},
	{"zlib", "inflate", "zlib1g-dev", "Zlib"},
	{"libzstd", "ZSTD_decompress", "libzstd-dev", "BSD-3-Clause OR GPL-2.0-only"},
	{"libpcap", "pcap_compile", "libpcap0.8-dev", "BSD-3-Clause"},
	{"glibc", "__libc_start_main", "libc6-dev", "LGPL-2.1-or-later"},
	{"libgcc", "__register_frame", "libgcc-*-dev", "GPL-3.0-or-later WITH GCC-exception-3.1"},
}

// cLibraries are those that are linked into a static command.
func cLibraries(path, root string) (parts []part, err error) {
	file, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if needed, err := file.ImportedLibraries(); err != nil || len(needed) > 0 {
		return nil, errors.Join(err, fmt.Errorf("not linked statically: it needs %q", needed))
	}
	symbols, err := file.Symbols()
	if err != nil {
		return nil, err
	}
	for _, library := range libraries {
		if !slices.ContainsFunc(symbols, func(s elf.Symbol) bool {
			return s.Name == library.symbol && s.Section != elf.SHN_UNDEF
		}) {
			continue
		}
		docs, err := filepath.Glob(filepath.Join(root, "usr/share/doc", library.packages, "copyright"))
		if err != nil || len(docs) == 0 {
			return nil, errors.Join(err, fmt.Errorf("%s is linked in, and %s has no copyright of %s", library.name, root, library.packages))
		}
		doc := filepath.Dir(docs[len(docs)-1])
		text, err := os.ReadFile(filepath.Join(doc, "copyright"))
		if err != nil {
			return nil, err
		}
		source, version, err := sourcePackage(doc)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part{
			name: library.name, version: version, license: library.license, texts: []string{string(text)},
			purl: fmt.Sprintf("pkg:deb/debian/%s@%s?arch=source#%s", source, version, library.name),
		})
	}
	return parts, nil
}

var changelogHead = regexp.MustCompile(`^(\S+) \((\S+)\)`)

// sourcePackage reads a Debian package's changelog.
func sourcePackage(doc string) (name, version string, err error) {
	file, err := os.Open(filepath.Join(doc, "changelog.Debian.gz"))
	if errors.Is(err, os.ErrNotExist) { // a package of Debian's own
		file, err = os.Open(filepath.Join(doc, "changelog.gz"))
	}
	if err != nil {
		return "", "", err
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return "", "", err
	}
	line, err := bufio.NewReader(unzipped).ReadString('\n')
	if err != nil {
		return "", "", err
	}
	m := changelogHead.FindStringSubmatch(line)
	if m == nil {
		return "", "", fmt.Errorf("%s: a changelog that begins with %q", doc, line)
	}
	return m[1], m[2], nil
}
