package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/test/debian"
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
		"tc", "tcpdump", "ss", "xdp-monitor", "xdp-bench", "xdp-trafficgen", "strace", "perf", "jq", "systemctl", "journalctl", "systemd-run",
		"docker-registry",
	}
	guestDirs      = []string{"/dev", "/proc", "/sys", "/tmp", "/run", "/root", "/etc", "/var/lib", "/var/tmp", "/repo", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64"}
	repoParts      = []string{"go.mod", "README.md", "LICENSE", "Makefile", "docs", "bpf", "examples", "systemd", "test/demo.sh"}
	notForTests    = []string{"cross", "packages", "kube-apiserver", "xdpmux-kube"} // of what make builds
	requiredOnHost = []struct{ program, pkg string }{
		{"busybox", "busybox-static"}, {"zstd", "zstd"}, {"ip", "iproute2"}, {"xz", "xz-utils"}, {"go", "golang"},
	}
)

// needPrograms names everything that is missing on this host at once.
func needPrograms(p processor) error {
	var missing, pkgs []string
	for _, r := range append(requiredOnHost, struct{ program, pkg string }{p.qemu, p.pkg}) {
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

// system is where the VM's programs and libraries come from.
type system struct {
	arch string
	root string // a directory with all of it, or "" for this host
}

// findSystem is this host or, for another architecture, what Debian has for that.
func findSystem(ctx context.Context, arch string, stderr io.Writer) (system, error) {
	if arch == runtime.GOARCH {
		return system{arch: arch}, nil
	}
	root, err := debian.Root(ctx, arch, stderr)
	return system{arch, root}, err
}

// lookPath finds a program of the system.
func (s system) lookPath(name string) string {
	if s.root == "" {
		return lookPath(name)
	}
	for _, dir := range []string{"usr/sbin", "usr/bin", "sbin", "bin"} {
		if path := filepath.Join(s.root, dir, name); isFile(path) {
			return path
		}
	}
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// guestPath is where the VM has a file of the system.
func (s system) guestPath(path string) string { return strings.TrimPrefix(path, s.root) }

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
func writeInitramfs(ctx context.Context, file, root string, sys system, k kernelFiles, native []string, o options, suites []suite, payload string, stderr io.Writer) error {
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

	if err := addPrograms(ctx, a, sys, stderr); err != nil {
		return err
	}
	if err := addRepo(a, root, sys, o, suites); err != nil {
		return err
	}
	if err := addModules(ctx, a, k, stderr); err != nil {
		return err
	}
	if err := addLibraries(a, sys); err != nil {
		return err
	}
	// Their programs have libraries of their own.
	if err := addNative(a, sys, native); err != nil {
		return err
	}
	return compress(ctx, a, file)
}

// addPrograms puts in the real tools first, and busybox for every name that is
// left: its ip, for one, knows nothing of XDP.
func addPrograms(ctx context.Context, a archive, sys system, stderr io.Writer) error {
	if err := a.file("/usr/bin/busybox", sys.lookPath("busybox")); err != nil {
		return err
	}
	var missing []string
	for i, name := range append(append([]string(nil), guestPrograms...), guestExtras...) {
		path := sys.lookPath(name)
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
	// That of this host names the applets: another architecture's doesn't run here.
	applets, err := output(ctx, "", lookPath("busybox"), "--list")
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
		objects, _ := filepath.Glob(sys.root + pattern)
		for _, object := range objects {
			if err := a.file(sys.guestPath(object), object); err != nil {
				return err
			}
		}
	}
	// systemd, for tests of units. It doesn't start in the VM by itself. Its journal is where no unit
	// of the system's looks for it, or it would be started with each.
	for _, dir := range []string{"/lib/systemd/", "/usr/lib/systemd/"} { // one of them, or the same
		for name, guest := range map[string]string{"systemd": dir, "systemd-executor": dir, "system": dir, "systemd-journald": "/usr/bin/"} {
			if err := addTree(a, guest+name, sys.root+dir+name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// addRepo puts in what make has built, what tests of the documentation read, the
// test binaries with their testdata, and what -add asks for.
func addRepo(a archive, root string, sys system, o options, suites []suite) error {
	add := func(name, part string) error {
		err := addTree(a, "/repo/"+name, filepath.Join(root, part))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	for _, part := range repoParts {
		if err := add(part, part); err != nil {
			return err
		}
	}
	// What make GOARCH=... has built stands where the tests look.
	build := "build"
	if sys.root != "" {
		build = "build/" + sys.arch
		if err := add("build/bpf", "build/bpf"); err != nil {
			return err
		}
	}
	for _, name := range dirNames(filepath.Join(root, build)) {
		if _, other := processors[name]; other || slices.Contains(notForTests, name) { // or for another machine
			continue
		}
		if err := add("build/"+name, build+"/"+name); err != nil {
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
