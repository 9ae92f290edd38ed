package main

import (
	"context"
	"debug/elf"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed init.sh
var initScript string

// guestPrograms are the programs of this host that the VM gets: those that
// tests use by name, of which a missing one is told, and helpers that are taken
// where they are. Shells and everything that starts another program are among
// them because busybox's own would start busybox's applets, whatever PATH says.
var (
	guestPrograms = []string{"ip", "bash", "ethtool", "bpftool", "xdp-loader", "xdp-filter", "xdpdump", "nsenter", "unshare"}
	guestExtras   = []string{
		"dash", "env", "timeout", "xargs", "find", "setsid", "nohup", "nice", "chroot", "time", "setpriv", "capsh", "getcap", "setcap", "flock",
		"tc", "tcpdump", "ss", "xdp-monitor", "xdp-bench", "xdp-trafficgen", "strace", "perf", "jq", "systemctl",
	}
	guestDirs      = []string{"/dev", "/proc", "/sys", "/tmp", "/run", "/root", "/etc", "/var/lib", "/var/tmp", "/repo", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64"}
	repoParts      = []string{"go.mod", "README.md", "LICENSE", "Makefile", "docs", "bpf", "examples", "build", "systemd", "test/demo.sh"}
	requiredOnHost = []struct{ program, pkg string }{
		{"qemu-system-x86_64", "qemu-system-x86"}, {"busybox", "busybox-static"}, {"zstd", "zstd"},
		{"ip", "iproute2"}, {"xz", "xz-utils"}, {"ldd", "libc-bin"}, {"go", "golang"},
	}
)

// needPrograms names everything that is missing on this host at once.
func needPrograms() error {
	var missing, pkgs []string
	for _, r := range requiredOnHost {
		if lookPath(r.program) == "" {
			missing = append(missing, r.program)
			pkgs = append(pkgs, r.pkg)
		}
	}
	if missing == nil {
		return nil
	}
	return fmt.Errorf("not installed: %s; make deps, or apt-get install %s", strings.Join(missing, ", "), strings.Join(pkgs, " "))
}

// lookPath finds a program also where an unprivileged user's PATH doesn't look.
func lookPath(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	return ""
}

// writeInitramfs packs the whole system of the VM into one compressed file.
func writeInitramfs(ctx context.Context, file, root string, k kernelFiles, native []string, o options, suites []suite, payload string, stderr io.Writer) error {
	a := archive{}
	a.mkdir(guestDirs...)
	a.link("/var/run", "/run")
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		a.link("/"+dir, "usr/"+dir)
	}
	a.text("/init", initScript, 0o755)
	a.text("/payload", payload, 0o755)
	a.text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n", 0o644)
	a.text("/etc/group", "root:x:0:\nnogroup:x:65534:\n", 0o644)
	a.text("/etc/hosts", "127.0.0.1 localhost xdpmux-vm\n::1 localhost\n", 0o644)
	// Loaded by need, these would make interfaces nobody asked for.
	a.text("/etc/modprobe.d/vm.conf", "options dummy numdummies=0\noptions bonding max_bonds=0\noptions ifb numifbs=0\n", 0o644)
	a.text("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n", 0o644)

	if err := addPrograms(ctx, a, stderr); err != nil {
		return err
	}
	if err := addRepo(a, root, o, suites); err != nil {
		return err
	}
	if err := addModules(ctx, a, k, stderr); err != nil {
		return err
	}
	if err := addLibraries(ctx, a); err != nil {
		return err
	}
	// Their programs have libraries of their own.
	if err := addNative(a, native); err != nil {
		return err
	}
	return compress(ctx, a, file)
}

// addPrograms puts in the real tools first, and busybox for every name that is
// left: its ip, for one, knows nothing of XDP.
func addPrograms(ctx context.Context, a archive, stderr io.Writer) error {
	busybox := lookPath("busybox")
	if err := a.file("/usr/bin/busybox", busybox); err != nil {
		return err
	}
	var missing []string
	for i, name := range append(append([]string(nil), guestPrograms...), guestExtras...) {
		path := lookPath(name)
		if path == "" {
			if i < len(guestPrograms) {
				missing = append(missing, name)
			}
			continue
		}
		dir := "/usr/bin/"
		if strings.Contains(path, "/sbin/") {
			dir = "/usr/sbin/"
		}
		if err := a.file(dir+name, path); err != nil {
			return err
		}
	}
	if missing != nil {
		fmt.Fprintf(stderr, "vm: not on this host, so not in the VM: %s (make deps)\n", strings.Join(missing, ", "))
	}
	for _, shell := range []string{"dash", "bash"} {
		if a.has("/usr/bin/"+shell) && !a.has("/usr/bin/sh") {
			a.link("/usr/bin/sh", shell)
		}
	}
	applets, err := output(ctx, "", busybox, "--list")
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(applets) {
		if !a.has("/usr/bin/"+name) && !a.has("/usr/sbin/"+name) {
			a.link("/usr/bin/"+name, "busybox")
		}
	}
	// The kernel calls modprobe by this path.
	if !a.has("/usr/sbin/modprobe") {
		a.link("/usr/sbin/modprobe", "../bin/busybox")
	}
	// The BPF objects of xdp-tools; where they are depends on the distribution.
	for _, pattern := range []string{"/usr/lib/*/bpf/*.o", "/usr/lib64/bpf/*.o", "/usr/lib/bpf/*.o"} {
		objects, _ := filepath.Glob(pattern)
		for _, object := range objects {
			if err := a.file(object, object); err != nil {
				return err
			}
		}
	}
	// systemd, for the test of the unit. It doesn't start in the VM by itself.
	for _, path := range []string{"/usr/lib/systemd/systemd", "/usr/lib/systemd/systemd-executor", "/usr/lib/systemd/system"} {
		if err := addTree(a, path, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// addRepo puts in what make has built, what tests of the documentation read, the
// test binaries with their testdata, and what -add asks for.
func addRepo(a archive, root string, o options, suites []suite) error {
	for _, part := range repoParts {
		err := addTree(a, "/repo/"+part, filepath.Join(root, part))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if a.has("/repo/build/xdpmux") {
		a.link("/usr/bin/xdpmux", "/repo/build/xdpmux")
	}
	for _, s := range suites {
		if err := a.file(s.guestBinary(), s.binary); err != nil {
			return err
		}
		a.mkdir(s.guestDir())
		err := addTree(a, s.guestDir()+"/testdata", filepath.Join(s.dir, "testdata"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, add := range o.add {
		if err := addTree(a, add.dst, add.src); err != nil {
			return fmt.Errorf("-add: %w", err)
		}
	}
	return nil
}

// addTree copies a file or a directory. Links inside a directory stay links.
func addTree(a archive, name, src string) error {
	info, err := os.Stat(src)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return a.file(name, src)
	}
	return filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		to := filepath.Join(name, rel)
		switch {
		case d.IsDir():
			a.mkdir(to)
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			a.link(to, target)
		case d.Type().IsRegular():
			return a.file(to, path)
		}
		return nil
	})
}

// addLibraries puts in the shared libraries, loader included, of every program in
// the tree.
func addLibraries(ctx context.Context, a archive) error {
	args := []string{}
	seen := map[string]bool{}
	for _, e := range a {
		if e.src != "" && e.mode&0o111 != 0 && !seen[e.src] && isDynamic(e.src) {
			seen[e.src] = true
			args = append(args, e.src)
		}
	}
	if len(args) == 0 {
		return nil
	}
	out, err := output(ctx, "", "ldd", args...)
	if err != nil {
		return err
	}
	for _, line := range strings.Split(out, "\n") {
		// "\tlibc.so.6 => /lib/.../libc.so.6 (0x...)", "\t/lib64/ld-linux-x86-64.so.2 (0x...)"
		line = strings.TrimSpace(line)
		if strings.HasSuffix(line, "=> not found") {
			return fmt.Errorf("a program for the VM lacks a library on this host: %s", line)
		}
		if _, right, ok := strings.Cut(line, "=> "); ok {
			line = right
		}
		lib, _, ok := strings.Cut(line, " (0x")
		if !ok || !filepath.IsAbs(lib) {
			continue
		}
		if err := a.file(lib, lib); err != nil {
			return err
		}
	}
	return nil
}

// isDynamic says whether a file is an ELF program that asks for a loader.
func isDynamic(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return true
		}
	}
	return false
}

// compress writes the archive through zstd, at the level where packing and
// unpacking in the VM take least time together.
func compress(ctx context.Context, a archive, file string) error {
	cmd := exec.CommandContext(ctx, "zstd", "-q", "-1", "-T0", "-f", "-o", file)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	writeErr := a.write(stdin)
	closeErr := stdin.Close()
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("zstd: %w %s", err, complaint.String())
	}
	return errors.Join(writeErr, closeErr)
}
