package bpf

import (
	"bytes"
	"debug/elf"
	"go/build"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestObjects holds that each object is there in both byte orders, and has type
// information, but neither DWARF nor a path of the machine that compiled it.
func TestObjects(t *testing.T) {
	wanted := []string{"dispatcher-2.o", "dispatcher-3.o"}
	sources, err := filepath.Glob("probe/*.bpf.c")
	if err != nil || len(sources) == 0 {
		t.Fatal("no probes: ", err)
	}
	for _, source := range sources {
		wanted = append(wanted, strings.TrimSuffix(filepath.Base(source), ".bpf.c")+".o")
	}
	for dir, order := range map[string]elf.Data{"bpfel": elf.ELFDATA2LSB, "bpfeb": elf.ELFDATA2MSB} {
		files, err := os.ReadDir(filepath.Join("objects", dir))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, file := range files {
			names = append(names, file.Name())
		}
		slices.Sort(wanted)
		if !slices.Equal(names, wanted) {
			t.Errorf("%s: %q, want %q", dir, names, wanted)
		}
		for _, name := range names {
			path := filepath.Join("objects", dir, name)
			object, err := elf.Open(path)
			if err != nil {
				t.Error(err)
				continue
			}
			defer object.Close()
			if object.Data != order || object.Machine != elf.EM_BPF {
				t.Errorf("%s is of %v for %v", path, object.Data, object.Machine)
			}
			if object.Section(".BTF") == nil || object.Section(".BTF.ext") == nil || object.Section(".debug_info") != nil {
				t.Errorf("%s: BTF is missing, or there is DWARF", path)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range []string{"/home/", "/root/", "/work/", "/tmp/", "/usr/"} {
				if bytes.Contains(data, []byte(part)) {
					t.Errorf("%s has a path in %s", path, part)
				}
			}
		}
	}
}

// TestByteOrder holds that a program for a machine gets the objects of its byte order.
func TestByteOrder(t *testing.T) {
	for arch, want := range map[string]string{
		"386": "bpfel", "amd64": "bpfel", "arm": "bpfel", "arm64": "bpfel", "loong64": "bpfel",
		"mips64le": "bpfel", "mipsle": "bpfel", "ppc64le": "bpfel", "riscv64": "bpfel",
		"mips": "bpfeb", "mips64": "bpfeb", "ppc64": "bpfeb", "s390x": "bpfeb",
	} {
		ctx := build.Default
		ctx.GOARCH = arch
		pkg, err := ctx.ImportDir(".", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(pkg.EmbedPatterns, " "); got != "objects/"+want {
			t.Errorf("%s: %q", arch, got)
		}
	}
}
