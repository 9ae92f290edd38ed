package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// kernelFiles is a kernel that qemu can boot.
type kernelFiles struct {
	image   string // the bzImage
	release string // what uname -r will say
	modules string // the directory .../lib/modules/RELEASE, or "" if there is none
}

var seriesRE = regexp.MustCompile(`^[0-9]+\.[0-9]+$`)

// findKernel takes a series ("6.12") from the cache or through apt, and anything
// else as the path of an image.
func findKernel(ctx context.Context, name, modules string, stderr io.Writer) (kernelFiles, error) {
	if !seriesRE.MatchString(name) {
		return kernelAt(name, modules)
	}
	cache, err := cacheDir()
	if err != nil {
		return kernelFiles{}, err
	}
	dir := filepath.Join(cache, "kernels")
	pkg := newestPackage(name, dirNames(dir))
	if pkg == "" {
		if pkg, err = fetchKernel(ctx, name, dir, stderr); err != nil {
			return kernelFiles{}, err
		}
	}
	return kernelIn(filepath.Join(dir, pkg), modules)
}

// cacheDir is where kernels stay between runs.
func cacheDir() (string, error) {
	if dir := os.Getenv("XDPMUX_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir() // XDG_CACHE_HOME, or ~/.cache
	if err != nil {
		return "", fmt.Errorf("no directory to cache kernels in: %w; set XDPMUX_CACHE", err)
	}
	return filepath.Join(dir, "xdpmux"), nil
}

func dirNames(dir string) []string {
	entries, _ := os.ReadDir(dir) // not there yet: no names
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// newestPackage picks, of package names such as linux-image-6.1.0-56-cloud-amd64
// and linux-image-6.12.117+deb12-cloud-amd64, the newest bootable one of a series,
// or "" if there is none. The meta package linux-image-6.12-cloud-amd64, debug
// symbols and unsigned images don't count.
func newestPackage(series string, names []string) string {
	re := regexp.MustCompile(`^linux-image-` + regexp.QuoteMeta(series) + `\.([0-9]+)([^ ]*)-cloud-amd64$`)
	newest := ""
	for _, name := range names {
		if re.MatchString(name) && (newest == "" || slices.Compare(numbersIn(newest), numbersIn(name)) < 0) {
			newest = name
		}
	}
	return newest
}

var numberRE = regexp.MustCompile(`[0-9]+`)

// numbersIn is what versions are ordered by: 6.1.0-56 is [6 1 0 56].
func numbersIn(s string) []int {
	var numbers []int
	for _, digits := range numberRE.FindAllString(s, -1) {
		n, _ := strconv.Atoi(digits)
		numbers = append(numbers, n)
	}
	return numbers
}

// fetchKernel downloads and unpacks the newest kernel package of a series into
// dir and returns its name.
func fetchKernel(ctx context.Context, series, dir string, stderr io.Writer) (string, error) {
	const remedy = "name an image of your own with -kernel PATH"
	for _, tool := range []string{"apt-cache", "apt-get", "dpkg"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("kernel %s is fetched through apt, and there is no %s here: %s", series, tool, remedy)
		}
	}
	out, err := output(ctx, "", "apt-cache", "pkgnames", "linux-image-"+series)
	if err != nil {
		return "", err
	}
	pkg := newestPackage(series, strings.Fields(out))
	if pkg == "" {
		return "", fmt.Errorf("apt knows no linux-image-%s*-cloud-amd64 (is its index old? apt-get update): %s", series, remedy)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// Unpacked beside its place and renamed into it, so that an interrupted
	// fetch leaves nothing that looks whole. The name starts with a dot: it
	// never matches a package.
	tmp, err := os.MkdirTemp(dir, ".fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	fmt.Fprintf(stderr, "vm: fetching %s into %s, once\n", pkg, dir)
	// As root apt would drop to _apt, who can't write here, and complain.
	if _, err := output(ctx, tmp, "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", pkg); err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return "", fmt.Errorf("%w\n%s", err, remedy)
	}
	debs, _ := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if len(debs) != 1 {
		return "", fmt.Errorf("apt-get download %s left %d packages", pkg, len(debs))
	}
	tree := filepath.Join(tmp, "tree")
	if _, err := output(ctx, tmp, "dpkg", "-x", debs[0], tree); err != nil {
		return "", err
	}
	if err := os.Chmod(tree, 0o755); err != nil {
		return "", err
	}
	if err := os.Rename(tree, filepath.Join(dir, pkg)); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err // ErrExist: another run was as fast
	}
	return pkg, nil
}

// kernelIn finds the kernel in an unpacked package.
func kernelIn(tree, modules string) (kernelFiles, error) {
	images, _ := filepath.Glob(filepath.Join(tree, "boot", "vmlinuz-*"))
	if len(images) != 1 {
		return kernelFiles{}, fmt.Errorf("%s holds %d kernels, not one: remove it to fetch it anew", tree, len(images))
	}
	return kernelAt(images[0], modules)
}

// kernelAt takes an image by path, with its modules: those named, or those that
// lie in the same tree or on this host.
func kernelAt(image, modules string) (kernelFiles, error) {
	release, err := imageRelease(image)
	if err != nil {
		return kernelFiles{}, fmt.Errorf("kernel %s: %w", image, err)
	}
	k := kernelFiles{image: image, release: release}
	if modules != "" {
		k.modules = modules
		if sub := filepath.Join(modules, "lib", "modules", release); isDir(sub) {
			k.modules = sub
		} else if sub := filepath.Join(modules, release); isDir(sub) {
			k.modules = sub
		} else if !isDir(modules) {
			return kernelFiles{}, fmt.Errorf("modules %s: not a directory", modules)
		}
		return k, nil
	}
	tree := filepath.Dir(filepath.Dir(image))
	for _, dir := range []string{
		filepath.Join(tree, "lib", "modules", release),
		filepath.Join(tree, "usr", "lib", "modules", release),
		filepath.Join("/lib/modules", release),
	} {
		if isDir(dir) {
			k.modules = dir
			break
		}
	}
	return k, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// imageRelease reads the release from the header of a bzImage; see "The Linux/x86
// Boot Protocol", fields header and kernel_version.
func imageRelease(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, 64<<10)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return "", err
	}
	head = head[:n]
	if len(head) < 0x210 || string(head[0x202:0x206]) != "HdrS" {
		return "", errors.New("not a bootable x86 kernel image (bzImage)")
	}
	at := int(binary.LittleEndian.Uint16(head[0x20e:])) + 0x200
	if at >= len(head) {
		return "", errors.New("its header names no release")
	}
	version, _, _ := bytes.Cut(head[at:], []byte{0})
	release, _, _ := strings.Cut(string(version), " ")
	return release, nil
}

// output runs a program in dir and returns its standard output; the error of a
// failure holds what it said on standard error.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(append([]string{name}, args...), " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
