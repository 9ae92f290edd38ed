package main

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// wantModules are the kernel modules that the VM gets where the kernel has them
// as modules. Only veth is loaded at the start; the others wait for modprobe, or
// for `ip link add type ...`, which has the kernel call it.
var wantModules = []string{"veth", "tun", "dummy", "bonding", "netdevsim", "8021q", "macvlan", "bridge", "ifb", "nf_conntrack",
	"virtio_pci", "virtio_net", "vmxnet3"}

// addModules unpacks wantModules and what they depend on to /lib/modules/RELEASE,
// with the two index files that busybox's modprobe reads. The kernel packages hold
// no index: it is made at installation.
func addModules(ctx context.Context, a archive, k kernelFiles, stderr io.Writer) error {
	if k.modules == "" {
		fmt.Fprintf(stderr, "vm: no modules of kernel %s found, so no veth unless it is built in: name their directory with -modules\n", k.release)
		return nil
	}
	files := map[string]string{} // module name to file
	err := filepath.WalkDir(k.modules, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name, _, ok := strings.Cut(d.Name(), ".ko"); ok && d.Type().IsRegular() {
			files[strings.ReplaceAll(name, "-", "_")] = path
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("modules: %w", err)
	}

	deps := map[string][]string{}
	var aliases strings.Builder
	queue := append([]string(nil), wantModules...)
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		file, ok := files[name]
		if _, done := deps[name]; done || !ok {
			continue // built in, or this kernel has no such thing
		}
		contents, err := unpackModule(ctx, file)
		if err != nil {
			return err
		}
		info, err := moduleInfo(contents)
		if err != nil {
			return fmt.Errorf("module %s: %w", file, err)
		}
		deps[name] = []string{}
		for _, dep := range strings.Split(strings.Join(info["depends"], ","), ",") {
			if dep = strings.ReplaceAll(dep, "-", "_"); dep != "" {
				deps[name] = append(deps[name], dep)
				queue = append(queue, dep)
			}
		}
		for _, alias := range info["alias"] {
			fmt.Fprintf(&aliases, "alias %s %s\n", alias, name)
		}
		a.put("/lib/modules/"+k.release+"/"+name+".ko", entry{mode: 0o644, data: contents})
	}

	var index strings.Builder
	for name := range deps {
		fmt.Fprintf(&index, "%s.ko:", name)
		for _, dep := range closure(deps, name)[1:] {
			fmt.Fprintf(&index, " %s.ko", dep)
		}
		index.WriteByte('\n')
	}
	a.text("/lib/modules/"+k.release+"/modules.dep", index.String(), 0o644)
	a.text("/lib/modules/"+k.release+"/modules.alias", aliases.String(), 0o644)
	return nil
}

// closure lists name and everything it needs, the nearest first: modprobe loads
// from the end, and passes over what it has loaded already.
func closure(deps map[string][]string, name string) []string {
	list := []string{name}
	for i := 0; i < len(list); i++ {
		list = append(list, deps[list[i]]...)
	}
	return list
}

func unpackModule(ctx context.Context, file string) ([]byte, error) {
	for ext, tool := range map[string]string{".xz": "xz", ".zst": "zstd", ".gz": "gzip"} {
		if strings.HasSuffix(file, ext) {
			out, err := output(ctx, "", tool, "-dc", file)
			return []byte(out), err
		}
	}
	return os.ReadFile(file)
}

// moduleInfo reads the key=value strings that modinfo(8) shows.
func moduleInfo(contents []byte) (map[string][]string, error) {
	f, err := elf.NewFile(bytes.NewReader(contents))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("no .modinfo section")
	}
	data, err := section.Data()
	if err != nil {
		return nil, err
	}
	info := map[string][]string{}
	for _, field := range strings.Split(string(data), "\x00") {
		if key, value, ok := strings.Cut(field, "="); ok {
			info[key] = append(info[key], value)
		}
	}
	return info, nil
}
