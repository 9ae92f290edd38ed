package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// nativePackages are the native tools, with the libraries that they need.
var nativePackages = []string{"xdp-tools", "libxdp1", "libbpf1", "libelf1t64", "zlib1g", "libzstd1", "libc6"}

// guestNative is where the VM has the native tools of other suites. They run by chroot.
const guestNative = "/native"

var suiteRE = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// findNative takes the native tools of a Debian suite from the cache or through apt: the
// directory that is a root for them.
func findNative(ctx context.Context, suite string, stderr io.Writer) (string, error) {
	if !suiteRE.MatchString(suite) {
		return "", fmt.Errorf("-native %s: not the name of a Debian suite", suite)
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "native")
	root := filepath.Join(dir, suite)
	if isDir(root) {
		return root, nil
	}
	if err := fetchNative(ctx, suite, dir, stderr); err != nil {
		return "", fmt.Errorf("the native tools of Debian %s: %w\n-native '' does without, and the tests that need them fail", suite, err)
	}
	return root, nil
}

// fetchNative downloads the native tools of a suite with lists of packages of their own,
// so that nothing of this host's apt changes, and unpacks them into dir/suite.
func fetchNative(ctx context.Context, suite, dir string, stderr io.Writer) error {
	mirror, err := mirror(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(dir, ".fetch-") // renamed when it is whole
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	source := fmt.Sprintf("Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n", mirror, suite)
	if keys := "/usr/share/keyrings/debian-archive-keyring.gpg"; exists(keys) {
		source += "Signed-By: " + keys + "\n"
	}
	for _, sub := range []string{"parts", "lists/partial", "debs", "tree"} {
		if err := os.MkdirAll(filepath.Join(tmp, sub), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(tmp, "parts", suite+".sources"), []byte(source), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "vm: fetching xdp-tools of Debian %s into %s, once\n", suite, dir)
	apt := func(args ...string) error {
		options := []string{"-q", "-o", "APT::Sandbox::User=root", "-o", "Dir::Etc::SourceList=/dev/null",
			"-o", "Dir::Etc::SourceParts=" + filepath.Join(tmp, "parts"), "-o", "Dir::State::Lists=" + filepath.Join(tmp, "lists"),
			"-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="}
		_, err := output(ctx, filepath.Join(tmp, "debs"), "apt-get", append(options, args...)...)
		return err
	}
	if err := apt("update"); err != nil {
		return err
	}
	if err := apt(append([]string{"download"}, nativePackages...)...); err != nil {
		return err
	}
	tree := filepath.Join(tmp, "tree")
	debs, _ := filepath.Glob(filepath.Join(tmp, "debs", "*.deb"))
	if len(debs) != len(nativePackages) {
		return fmt.Errorf("apt-get download left %d packages of %d", len(debs), len(nativePackages))
	}
	for _, deb := range debs {
		if _, err := output(ctx, tmp, "dpkg", "-x", deb, tree); err != nil {
			return err
		}
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.MkdirAll(filepath.Join(tree, "usr", name), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("usr/"+name, filepath.Join(tree, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	for _, name := range []string{"usr/share", "etc"} { // documentation
		if err := os.RemoveAll(filepath.Join(tree, name)); err != nil {
			return err
		}
	}
	for _, name := range []string{"dev", "proc", "sys", "repo", "tmp"} { // where the VM's are bound
		if err := os.MkdirAll(filepath.Join(tree, name), 0o755); err != nil {
			return err
		}
	}
	err = os.Rename(tree, filepath.Join(dir, suite))
	if errors.Is(err, fs.ErrExist) {
		return nil // another run was as fast
	}
	return err
}

// mirror is where this host gets Debian's packages from.
func mirror(ctx context.Context) (string, error) {
	for _, tool := range []string{"apt-get", "dpkg"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("they are fetched through apt, and there is no %s here", tool)
		}
	}
	out, err := output(ctx, "", "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian")
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(out, "\n")
	if first == "" {
		return "", errors.New("apt here has no source of Debian's packages (apt-get update?)")
	}
	return first, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// sharedXdpmux is an xdpmux without libraries in it, if make test-matrix has built one.
const sharedXdpmux = "/repo/build/xdpmux-shared"

// addNative puts the native tools of the suites into the VM, and commands such as
// xdp-loader-sid that run them, and xdpmux-sid that runs ours with the libraries of there.
func addNative(a archive, roots []string) error {
	for _, root := range roots {
		suite := filepath.Base(root)
		there := guestNative + "/" + suite
		if err := addTree(a, there, root); err != nil {
			return err
		}
		for _, tool := range []string{"xdp-loader", "xdp-filter"} {
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
