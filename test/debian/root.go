package debian

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// rootSuite is what a root is made of: its static libraries link, and its libxdp is one that
// xdpmux is built with anyway.
const rootSuite = "bookworm"

// rootPackages are what xdpmux is compiled with, and what the tests run.
var rootPackages = []string{
	"libxdp-dev", "libbpf-dev", "libelf-dev", "zlib1g-dev", "libpcap0.8-dev", "libgcc-12-dev",
	"iproute2", "ethtool", "util-linux", "bash", "dash", "coreutils", "findutils", "xdp-tools", "bpftool",
	"tcpdump", "time", "busybox-static", "systemd", "strace", "libcap2-bin",
}

// Root is a directory with the libraries and the tools of another architecture, from the cache
// or through apt.
func Root(ctx context.Context, arch string, stderr io.Writer) (string, error) {
	cache, err := Cache()
	if err != nil {
		return "", err
	}
	// Other packages make another root.
	contents := sha256.Sum256([]byte(strings.Join(rootPackages, " ")))
	dir := filepath.Join(cache, "roots", fmt.Sprintf("%s-%s-%x", rootSuite, arch, contents[:4]))
	return dir, Once(dir, func(tmp string) error {
		fmt.Fprintf(stderr, "fetching libraries and tools of %s into %s, once\n", arch, dir)
		packages, err := Open(ctx, arch, rootSuite)
		if err != nil {
			return err
		}
		defer packages.Close()
		if err := packages.UnpackAll(ctx, tmp, rootPackages...); err != nil {
			return err
		}
		return keepLinksInside(tmp)
	})
}

// keepLinksInside makes the links of a root relative: /sbin/ip, a link to /bin/ip, would lead
// to the program of this host.
func keepLinksInside(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		target, err := os.Readlink(path)
		if err != nil || !filepath.IsAbs(target) {
			return err
		}
		if target, err = filepath.Rel(filepath.Dir(path), filepath.Join(root, target)); err != nil {
			return err
		}
		return errors.Join(os.Remove(path), os.Symlink(target, path))
	})
}

// Triplets name the architectures as Debian's folders of libraries do.
var Triplets = map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}

// CrossEnv is the environment in which the go command builds for an architecture with what is
// in its root. clang and lld are compilers for all architectures.
func CrossEnv(root, arch string) []string {
	triplet := Triplets[arch]
	return []string{
		"GOOS=linux", "GOARCH=" + arch, "CGO_ENABLED=1",
		fmt.Sprintf("CC=clang --target=%s --sysroot=%s -fuse-ld=lld -Wno-unused-command-line-argument", triplet, root),
		"PKG_CONFIG_PATH=",
		fmt.Sprintf("PKG_CONFIG_LIBDIR=%s/usr/lib/%s/pkgconfig", root, triplet),
		"PKG_CONFIG_SYSROOT_DIR=" + root,
		"PKG_CONFIG_FDO_SYSROOT_RULES=1", // variables such as libdir don't begin with the root
	}
}
