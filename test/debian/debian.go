// Package debian fetches Debian's packages for tests, of any suite and architecture. It keeps
// lists of packages of its own: nothing of this host's apt changes, and nothing is installed.
package debian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Cache is where what was fetched stays between runs.
func Cache() (string, error) {
	if dir := os.Getenv("XDPMUX_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir() // XDG_CACHE_HOME, or ~/.cache
	if err != nil {
		return "", fmt.Errorf("no directory to cache in: %w; set XDPMUX_CACHE", err)
	}
	return filepath.Join(dir, "xdpmux"), nil
}

// Packages are the packages that this host's apt knows or, from Open, those of other suites or
// of another architecture. The zero value is this host's.
type Packages struct{ dir string }

// Open reads the lists of the suites. Those of security updates, such as bookworm-security,
// come from the mirror that this host has for them. Close forgets the lists.
func Open(ctx context.Context, arch string, suites ...string) (*Packages, error) {
	if err := HaveApt(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "xdpmux-apt-")
	if err != nil {
		return nil, err
	}
	p := &Packages{dir}
	if err := p.open(ctx, arch, suites); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Packages) open(ctx context.Context, arch string, suites []string) error {
	var sources strings.Builder
	for _, suite := range suites {
		label := "Debian"
		if strings.HasSuffix(suite, "-security") {
			label = "Debian-Security"
		}
		mirror, err := mirror(ctx, label)
		if err != nil {
			return err
		}
		fmt.Fprintf(&sources, "Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n", mirror, suite)
		if keys := "/usr/share/keyrings/debian-archive-keyring.gpg"; exists(keys) {
			sources.WriteString("Signed-By: " + keys + "\n")
		}
		sources.WriteByte('\n')
	}
	for _, sub := range []string{"parts", "lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(p.dir, sub), 0o755); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"parts/xdpmux.sources": sources.String(),
		"status":               "", // nothing is installed, so all that a package needs is fetched
		"apt.conf":             fmt.Sprintf(config, p.dir, arch),
	} {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	_, err := p.apt(ctx, "", "apt-get", "update")
	return err
}

const config = `APT::Architecture "%[2]s";
APT::Architectures { "%[2]s"; };
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "%[1]s/parts";
Dir::State::Lists "%[1]s/lists";
Dir::State::status "%[1]s/status";
Dir::Cache::Archives "%[1]s/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
`

// Close removes the lists, but not what was unpacked.
func (p *Packages) Close() error {
	if p.dir == "" {
		return nil
	}
	return os.RemoveAll(p.dir)
}

// Names lists the packages whose names start so.
func (p *Packages) Names(ctx context.Context, prefix string) ([]string, error) {
	out, err := p.apt(ctx, "", "apt-cache", "pkgnames", prefix)
	return strings.Fields(out), err
}

// Unpack fetches packages, each alone, and unpacks them into dir.
func (p *Packages) Unpack(ctx context.Context, dir string, names ...string) error {
	debs, err := os.MkdirTemp(filepath.Dir(dir), ".debs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(debs)
	if _, err := p.apt(ctx, debs, "apt-get", append([]string{"download"}, names...)...); err != nil {
		return err
	}
	return unpack(ctx, dir, debs, len(names))
}

// UnpackAll does so with all packages that they need, too. It is for packages from Open: a
// host has most of them installed.
func (p *Packages) UnpackAll(ctx context.Context, dir string, names ...string) error {
	if _, err := p.apt(ctx, "", "apt-get", append([]string{"-y", "--download-only", "install"}, names...)...); err != nil {
		return err
	}
	return unpack(ctx, dir, filepath.Join(p.dir, "archives"), len(names))
}

func unpack(ctx context.Context, dir, debs string, atLeast int) error {
	files, _ := filepath.Glob(filepath.Join(debs, "*.deb"))
	if len(files) < atLeast {
		return fmt.Errorf("apt-get has fetched %d packages of %d", len(files), atLeast)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, file := range files {
		if _, err := output(ctx, exec.CommandContext(ctx, "dpkg", "-x", file, dir)); err != nil {
			return err
		}
	}
	return os.Chmod(dir, 0o755)
}

func (p *Packages) apt(ctx context.Context, dir, name string, args ...string) (string, error) {
	// As root apt would drop to _apt, who can't write here, and complain.
	cmd := exec.CommandContext(ctx, name, append([]string{"-q", "-o", "APT::Sandbox::User=root"}, args...)...)
	cmd.Dir = dir
	if p.dir != "" {
		cmd.Env = append(os.Environ(), "APT_CONFIG="+filepath.Join(p.dir, "apt.conf"))
	}
	return output(ctx, cmd)
}

// HaveApt says whether there is an apt to ask.
func HaveApt() error {
	for _, tool := range []string{"apt-cache", "apt-get", "dpkg"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("packages are fetched through apt, and there is no %s here", tool)
		}
	}
	return nil
}

// Once fills a directory that is not there yet. It is filled beside its place and renamed into
// it, so that an interrupted fetch leaves nothing that looks whole.
func Once(dir string, fill func(tmp string) error) error {
	if exists(dir) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := fill(tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err // ErrExist: another run was as fast
	}
	return nil
}

// mirror is where this host gets Debian's packages from.
func mirror(ctx context.Context, label string) (string, error) {
	out, err := output(ctx, exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: "+label))
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(out, "\n")
	if first == "" {
		return "", fmt.Errorf("apt here has no source of %s's packages (apt-get update?)", label)
	}
	return first, nil
}

// output runs a program and returns its standard output; the error of a failure holds what it
// said on standard error.
func output(ctx context.Context, cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
