package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// apt asks this host's apt: with its own lists of packages or, from debianSuites, with lists
// of other suites, which leave those of the host alone.
type apt struct{ options []string }

// haveApt says whether there is an apt to ask.
func haveApt() error {
	for _, tool := range []string{"apt-cache", "apt-get", "dpkg"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("packages are fetched through apt, and there is no %s here", tool)
		}
	}
	return nil
}

// debianSuites fetches the lists of Debian suites, into dir.
func debianSuites(ctx context.Context, dir string, suites ...string) (apt, error) {
	if err := haveApt(); err != nil {
		return apt{}, err
	}
	mirror, err := mirror(ctx)
	if err != nil {
		return apt{}, err
	}
	source := fmt.Sprintf("Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n", mirror, strings.Join(suites, " "))
	if keys := "/usr/share/keyrings/debian-archive-keyring.gpg"; exists(keys) {
		source += "Signed-By: " + keys + "\n"
	}
	parts, lists := filepath.Join(dir, "parts"), filepath.Join(dir, "lists")
	for _, sub := range []string{parts, filepath.Join(lists, "partial")} {
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return apt{}, err
		}
	}
	if err := os.WriteFile(filepath.Join(parts, "suites.sources"), []byte(source), 0o644); err != nil {
		return apt{}, err
	}
	a := apt{[]string{"-o", "Dir::Etc::SourceList=/dev/null", "-o", "Dir::Etc::SourceParts=" + parts, "-o", "Dir::State::Lists=" + lists,
		"-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "-o", "Acquire::Languages=none"}}
	_, err = a.output(ctx, dir, "apt-get", "update")
	return a, err
}

func (a apt) output(ctx context.Context, dir, tool string, args ...string) (string, error) {
	// As root apt would drop to _apt, who can't write here, and complain.
	options := append([]string{"-q", "-o", "APT::Sandbox::User=root"}, a.options...)
	return output(ctx, dir, tool, append(options, args...)...)
}

// names lists the packages that begin with prefix.
func (a apt) names(ctx context.Context, prefix string) ([]string, error) {
	out, err := a.output(ctx, "", "apt-cache", "pkgnames", prefix)
	return strings.Fields(out), err
}

// unpack downloads packages, each alone, and unpacks them into tree.
func (a apt) unpack(ctx context.Context, tree string, packages []string) error {
	debs, err := os.MkdirTemp(filepath.Dir(tree), "debs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(debs)
	if _, err := a.output(ctx, debs, "apt-get", append([]string{"download"}, packages...)...); err != nil {
		return err
	}
	files, _ := filepath.Glob(filepath.Join(debs, "*.deb"))
	if len(files) != len(packages) {
		return fmt.Errorf("apt-get download left %d packages of %d", len(files), len(packages))
	}
	for _, file := range files {
		if _, err := output(ctx, "", "dpkg", "-x", file, tree); err != nil {
			return err
		}
	}
	return os.Chmod(tree, 0o755)
}

// mirror is where this host gets Debian's packages from.
func mirror(ctx context.Context) (string, error) {
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
