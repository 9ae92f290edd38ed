package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"

	"github.com/xdpmux/xdpmux/test/debian"
)

// nativePackages are the native tools, with the libraries that they need.
var nativePackages = []string{"xdp-tools", "libxdp1", "libbpf1", "libelf1t64", "zlib1g", "libzstd1", "libc6"}

// guestNative is where the VM has the native tools of other suites. They run by chroot.
const guestNative = "/native"

var suiteRE = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// findNative takes the native tools of a Debian suite from the cache or through apt: the
// directory that is a root for them.
func findNative(ctx context.Context, suite, arch string, stderr io.Writer) (string, error) {
	if !suiteRE.MatchString(suite) {
		return "", fmt.Errorf("-native %s: not the name of a Debian suite", suite)
	}
	cache, err := debian.Cache()
	if err != nil {
		return "", err
	}
	dir := "native"
	if arch != runtime.GOARCH {
		dir += "-" + arch
	}
	root := filepath.Join(cache, dir, suite)
	err = debian.Once(root, func(tmp string) error {
		fmt.Fprintf(stderr, "vm: fetching xdp-tools of Debian %s into %s, once\n", suite, root)
		packages, err := debian.Open(ctx, arch, suite)
		if err != nil {
			return err
		}
		defer packages.Close()
		if err := packages.Unpack(ctx, tmp, nativePackages...); err != nil {
			return err
		}
		return prepareNative(tmp)
	})
	if err != nil {
		return "", fmt.Errorf("the native tools of Debian %s: %w\n-native '' does without, and the tests that need them fail", suite, err)
	}
	return root, nil
}

// prepareNative makes a root of what was unpacked.
func prepareNative(root string) error {
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.MkdirAll(filepath.Join(root, "usr", name), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("usr/"+name, filepath.Join(root, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	for _, name := range []string{"usr/share", "etc"} { // documentation
		if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
			return err
		}
	}
	for _, name := range []string{"dev", "proc", "sys", "repo", "tmp"} { // where the VM's are bound
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// sharedXdpmux is an xdpmux without libraries in it, if make test-matrix has built one.
const sharedXdpmux = "/repo/build/xdpmux-shared"

// addNative puts the native tools of the suites into the VM, and commands such as
// xdp-loader-sid that run them, and xdpmux-sid that runs ours with the libraries of there.
func addNative(a archive, sys system, roots []string) error {
	if len(roots) == 0 {
		return nil
	}
	// xdpdump needs libpcap, and that further libraries, which the roots lack. It does with those of this host.
	borrowed := archive{}
	if err := borrowed.file("/usr/sbin/xdpdump", sys.lookPath("xdpdump")); err != nil {
		return err
	}
	if err := addLibraries(borrowed, sys); err != nil {
		return err
	}
	for _, root := range roots {
		suite := filepath.Base(root)
		there := guestNative + "/" + suite
		if err := addTree(a, there, root); err != nil {
			return err
		}
		for name, e := range borrowed {
			if e.src != "" && !isFile(root+name) {
				a.put(there+name, e)
			}
		}
		for _, tool := range []string{"xdp-loader", "xdp-filter", "xdp-bench", "xdpdump"} {
			a.text("/usr/sbin/"+tool+"-"+suite, fmt.Sprintf(nativeScript, there, tool), 0o755)
		}
		if a.has(sharedXdpmux) {
			a.text("/usr/sbin/xdpmux-"+suite, fmt.Sprintf(nativeScript, there, sharedXdpmux), 0o755)
		}
	}
	return nil
}

// nativeScript runs a tool in a mount namespace of its own, so that nobody else sees the second
// mounts of /sys and others. The tool needs absolute paths of files.
const nativeScript = `#!/bin/sh
exec unshare --mount sh -c '
for dir in dev proc sys tmp repo; do mount --rbind /$dir %[1]s/$dir || exit; done
exec chroot %[1]s %[2]s "$@"' sh "$@"
`
