package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/xdpmux/xdpmux/test/debian"
)

// kernelFiles is a kernel that qemu can boot.
type kernelFiles struct {
	image   string // the bzImage
	release string // what uname -r will say
	modules string // the directory .../lib/modules/RELEASE, or "" if there is none
}

var seriesRE = regexp.MustCompile(`^[0-9]+\.[0-9]+$`)

// What -kernel takes beside series and paths.
const (
	newestKernel = "newest" // the newest series that this distribution has
	allKernels   = "all"    // every series that it has
)

// kernelNames puts series in the place of the words newest and all: those that this
// distribution has or, where apt knows none, those in the cache.
func kernelNames(ctx context.Context, arch string, names []string) ([]string, error) {
	var out []string
	for _, name := range names {
		if name != newestKernel && name != allKernels {
			out = append(out, name)
			continue
		}
		found, err := seriesHere(ctx, arch)
		if err != nil {
			return nil, err
		}
		if name == newestKernel {
			found = found[len(found)-1:]
		}
		out = append(out, found...)
	}
	if out == nil {
		return nil, errors.New("-kernel names none")
	}
	return out, nil
}

func seriesHere(ctx context.Context, arch string) ([]string, error) {
	if arch != runtime.GOARCH {
		return foreignSeries, nil
	}
	var names []string
	aptErr := debian.HaveApt()
	if aptErr == nil {
		if names, aptErr = new(debian.Packages).Names(ctx, imagePrefix); aptErr == nil {
			aptErr = errors.New("apt knows no kernel for a VM (is its index old? apt-get update)")
		}
	}
	found := seriesIn(arch, names)
	if found == nil {
		dir, err := kernelsDir()
		if err != nil {
			return nil, err
		}
		found = seriesIn(arch, dirNames(dir))
	}
	if found == nil {
		return nil, fmt.Errorf("%w: %s", aptErr, kernelRemedy)
	}
	return found, nil
}

const kernelRemedy = "name an image of your own with -kernel PATH"

// findKernel takes a series ("6.12") from the cache or through apt, and anything
// else as the path of an image.
func findKernel(ctx context.Context, name, modules, arch string, stderr io.Writer) (kernelFiles, error) {
	if !seriesRE.MatchString(name) {
		return kernelAt(name, modules, arch)
	}
	dir, err := kernelsDir()
	if err != nil {
		return kernelFiles{}, err
	}
	pkg := newestPackage(name, arch, dirNames(dir))
	if pkg == "" {
		if pkg, err = fetchKernel(ctx, name, arch, dir, stderr); err != nil {
			return kernelFiles{}, fmt.Errorf("kernel %s: %w\n%s", name, err, kernelRemedy)
		}
	}
	return kernelIn(filepath.Join(dir, pkg), modules, arch)
}

// kernelsDir is where unpacked kernels stay, each under the name of its package.
func kernelsDir() (string, error) {
	cache, err := debian.Cache()
	return filepath.Join(cache, "kernels"), err
}

func dirNames(dir string) []string {
	entries, _ := os.ReadDir(dir) // not there yet: no names
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

const imagePrefix = "linux-image-"

// imageRE is the name of a bootable package of Debian or, with another flavour, of Ubuntu,
// such as linux-image-6.1.0-56-cloud-amd64 and linux-image-6.12.117+deb12-cloud-amd64. The
// meta package linux-image-6.12-cloud-amd64, debug symbols and unsigned images are none.
var imageRE = map[string]*regexp.Regexp{
	"amd64": regexp.MustCompile(`^` + imagePrefix + `([0-9]+\.[0-9]+)\.[0-9]+[^ ]*-(?:cloud-amd64|generic)$`),
	"arm64": regexp.MustCompile(`^` + imagePrefix + `([0-9]+\.[0-9]+)\.[0-9]+[^ ]*-cloud-arm64$`),
}

// newestPackage picks the newest bootable package of a series, or "" if there is none.
func newestPackage(series, arch string, names []string) string {
	newest := ""
	for _, name := range names {
		if m := imageRE[arch].FindStringSubmatch(name); m != nil && m[1] == series && (newest == "" || older(newest, name)) {
			newest = name
		}
	}
	return newest
}

// seriesIn lists the series of the bootable packages among names, the oldest first.
func seriesIn(arch string, names []string) []string {
	var series []string
	for _, name := range names {
		if m := imageRE[arch].FindStringSubmatch(name); m != nil && !slices.Contains(series, m[1]) {
			series = append(series, m[1])
		}
	}
	slices.SortFunc(series, func(a, b string) int { return slices.Compare(numbersIn(a), numbersIn(b)) })
	return series
}

// packagesOf lists what is to be unpacked for an image's package. Debian sid and Ubuntu have
// parts of the kernel in further packages.
func packagesOf(image string, names []string) []string {
	packages := []string{image}
	for _, prefix := range []string{"linux-binary-", "linux-modules-"} {
		if part := prefix + strings.TrimPrefix(image, imagePrefix); slices.Contains(names, part) {
			packages = append(packages, part)
		}
	}
	return packages
}

func older(a, b string) bool { return slices.Compare(numbersIn(a), numbersIn(b)) < 0 }

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

// otherSuites are the Debian suites that are asked for a kernel which this host's apt
// doesn't know; foreignSuites, for another architecture, come first and have foreignSeries.
var (
	otherSuites   = []string{"bookworm", "trixie", "sid"}
	foreignSuites = []string{"bookworm", "bookworm-security"}
	foreignSeries = []string{"6.1", "6.12"}
)

// fetchKernel downloads and unpacks the newest kernel of a series into dir and returns the
// name of its package.
func fetchKernel(ctx context.Context, series, arch, dir string, stderr io.Writer) (string, error) {
	if err := debian.HaveApt(); err != nil {
		return "", err
	}
	packages := new(debian.Packages)
	if arch != runtime.GOARCH {
		var err error
		if packages, err = debian.Open(ctx, arch, foreignSuites...); err != nil {
			return "", err
		}
		defer packages.Close()
	}
	names, err := packages.Names(ctx, "linux-")
	if err != nil {
		return "", err
	}
	pkg := newestPackage(series, arch, names)
	if pkg == "" {
		fmt.Fprintf(stderr, "vm: apt knows no kernel %s here, so Debian %s are asked, once\n", series, strings.Join(otherSuites, ", "))
		if packages, err = debian.Open(ctx, arch, otherSuites...); err != nil {
			return "", err
		}
		defer packages.Close()
		if names, err = packages.Names(ctx, "linux-"); err != nil {
			return "", err
		}
		if pkg = newestPackage(series, arch, names); pkg == "" {
			return "", fmt.Errorf("not in Debian %s, which have %s", strings.Join(otherSuites, ", "), strings.Join(seriesIn(arch, names), ", "))
		}
	}
	return pkg, debian.Once(filepath.Join(dir, pkg), func(tmp string) error {
		fmt.Fprintf(stderr, "vm: fetching %s into %s, once\n", pkg, dir)
		return packages.Unpack(ctx, tmp, packagesOf(pkg, names)...)
	})
}

// kernelIn finds the kernel in an unpacked package.
func kernelIn(tree, modules, arch string) (kernelFiles, error) {
	images, _ := filepath.Glob(filepath.Join(tree, "boot", "vmlinuz-*"))
	if images == nil { // Debian sid
		images, _ = filepath.Glob(filepath.Join(tree, "usr", "lib", "modules", "*", "vmlinuz"))
	}
	if len(images) != 1 {
		return kernelFiles{}, fmt.Errorf("%s holds %d kernels, not one: remove it to fetch it anew", tree, len(images))
	}
	return kernelAt(images[0], modules, arch)
}

// kernelAt takes an image by path, with its modules: those named, or those that
// lie in the same tree or on this host.
func kernelAt(image, modules, arch string) (kernelFiles, error) {
	release, err := processors[arch].release(image)
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
		filepath.Join(tree, release), // .../lib/modules/RELEASE/vmlinuz
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
