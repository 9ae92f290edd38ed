package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/test/debian"
)

// kernelPackage marks, by being imported, the tests that need a kernel of their own.
const kernelPackage = "github.com/xdpmux/xdpmux/test/harness"

// suite is the test binary of one package.
type suite struct {
	pkg    string // import path
	dir    string // where the package is on the host
	rel    string // the same, relative to the repository
	binary string // the compiled tests, on the host
	n      int    // its number, in the payload's marks
	size   int64  // of its sources
}

func (s suite) guestDir() string    { return path.Join("/repo", s.rel) }
func (s suite) guestBinary() string { return "/tests/" + s.rel + "/" + path.Base(s.pkg) + ".test" }

// without leaves those of the suites out that skip names. It also names tests, see testNames.
func without(suites []suite, skip []string) []suite {
	return slices.DeleteFunc(slices.Clone(suites), func(s suite) bool { return slices.Contains(skip, s.rel) })
}

// testNames are those of the words that aren't packages.
func testNames(words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.Contains(w, "/") })
}

// split divides the suites among at most n VMs that take about as long as each other, as
// far as the sizes of the sources tell. The longest part comes first.
func split(suites []suite, n int) [][]suite {
	type part struct {
		suites []suite
		size   int64
	}
	parts := make([]part, min(n, len(suites)))
	bySize := slices.Clone(suites)
	slices.SortStableFunc(bySize, func(a, b suite) int { return cmp.Compare(b.size, a.size) })
	for _, s := range bySize {
		least := slices.MinFunc(parts, func(a, b part) int { return cmp.Compare(a.size, b.size) })
		i := slices.IndexFunc(parts, func(p part) bool { return p.size == least.size })
		parts[i].suites, parts[i].size = append(parts[i].suites, s), parts[i].size+s.size
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(b.size, a.size) })
	split := make([][]suite, len(parts))
	for i, p := range parts {
		slices.SortFunc(p.suites, func(a, b suite) int { return cmp.Compare(a.n, b.n) })
		split[i] = p.suites
	}
	return split
}

// chosen is the argument of the kernel that has the payload run these suites alone.
func chosen(part []suite) string {
	if len(part) == 0 {
		return ""
	}
	var numbers []string
	for _, s := range part {
		numbers = append(numbers, fmt.Sprint(s.n))
	}
	return " suites=" + strings.Join(numbers, ",")
}

// jobName is a kernel's name, and of one of several parts the suites'.
func jobName(kernel string, part []suite, parts int) string {
	if parts < 2 {
		return kernel
	}
	for _, s := range part {
		kernel += " " + s.rel
	}
	return kernel
}

// buildSuites compiles the tests of the packages that need a kernel into tmp.
func buildSuites(ctx context.Context, sys system, root, tmp string, patterns []string, stderr io.Writer) ([]suite, error) {
	// -e: a pattern that matches no folder yet is no reason not to test the others.
	out, err := output(ctx, "", "go", append([]string{"list", "-e", "-json=ImportPath,Dir,TestGoFiles,XTestGoFiles,TestImports,XTestImports"}, patterns...)...)
	if err != nil {
		return nil, err
	}
	var suites []suite
	for dec := json.NewDecoder(strings.NewReader(out)); ; {
		var p struct {
			ImportPath, Dir           string
			TestGoFiles, XTestGoFiles []string
			TestImports, XTestImports []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		own := p.ImportPath == kernelPackage && len(p.TestGoFiles)+len(p.XTestGoFiles) > 0
		if !own && !slices.Contains(p.TestImports, kernelPackage) && !slices.Contains(p.XTestImports, kernelPackage) {
			continue
		}
		rel, err := filepath.Rel(root, p.Dir)
		if err != nil {
			return nil, err
		}
		var size int64
		for _, file := range append(p.TestGoFiles, p.XTestGoFiles...) {
			if st, err := os.Stat(filepath.Join(p.Dir, file)); err == nil {
				size += st.Size()
			}
		}
		suites = append(suites, suite{pkg: p.ImportPath, dir: p.Dir, rel: rel, n: len(suites), size: size})
	}

	// One go command builds many packages at once, but not two whose binaries
	// would have the same name: each round takes a name once.
	for round, done := 0, 0; done < len(suites); round++ {
		dir := filepath.Join(tmp, fmt.Sprint("tests", round))
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
		args := []string{"test", "-c", "-ldflags=-w", "-o", dir + "/"}
		names := map[string]bool{}
		for i := range suites {
			name := path.Base(suites[i].pkg) + ".test"
			if suites[i].binary == "" && !names[name] {
				names[name] = true
				suites[i].binary = filepath.Join(dir, name)
				args = append(args, suites[i].pkg)
				done++
			}
		}
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Stdout, cmd.Stderr = stderr, stderr
		if sys.root != "" {
			cmd.Env = append(os.Environ(), debian.CrossEnv(sys.root, sys.arch)...)
		}
		if err := cmd.Run(); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, fmt.Errorf("the tests don't compile: go test -c: %w", err)
		}
	}
	return suites, nil
}
