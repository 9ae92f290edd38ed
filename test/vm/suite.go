package main

import (
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
}

func (s suite) guestDir() string    { return path.Join("/repo", s.rel) }
func (s suite) guestBinary() string { return "/tests/" + s.rel + "/" + path.Base(s.pkg) + ".test" }

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
		suites = append(suites, suite{pkg: p.ImportPath, dir: p.Dir, rel: rel})
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
