package rules

import (
	"go/ast"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// maxCycle is how many files of a package may use each other in a circle. If there are more, the
// package wants to be cut.
const maxCycle = 6

// TestCycles finds, in each package, the largest set of files of which each uses all others,
// directly or by way of others.
func TestCycles(t *testing.T) {
	pkgs, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports,
		Dir:  "../..",
	}, "./cgo/...", "./dispatcher/...", "./cmd/...")
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) < 10 {
		t.Fatalf("only %d packages found", len(pkgs))
	}
	for _, pkg := range pkgs {
		for _, err := range pkg.Errors {
			t.Error(err)
		}
		if cycle := largestCycle(uses(pkg)); len(cycle) > maxCycle {
			t.Errorf("%s: %d files use each other in a circle, at most %d may: %s", pkg.PkgPath, len(cycle), maxCycle, strings.Join(cycle, " "))
		}
	}
}

// uses says for each file of a package which others have functions, methods or names that it uses.
// Fields don't count.
func uses(pkg *packages.Package) map[string]map[string]bool {
	fileOf := func(obj types.Object) string { return filepath.Base(pkg.Fset.Position(obj.Pos()).Filename) }
	graph := map[string]map[string]bool{}
	for _, file := range pkg.Syntax {
		from := filepath.Base(pkg.Fset.Position(file.Package).Filename)
		graph[from] = map[string]bool{}
		ast.Inspect(file, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			obj := pkg.TypesInfo.Uses[id]
			if obj == nil || obj.Pkg() != pkg.Types || !obj.Pos().IsValid() {
				return true
			}
			_, function := obj.(*types.Func)
			if function || obj.Parent() == pkg.Types.Scope() {
				if to := fileOf(obj); to != from {
					graph[from][to] = true
				}
			}
			return true
		})
	}
	return graph
}

// largestCycle is the largest strongly connected set of the graph, sorted; nil where
// nothing comes back to itself.
func largestCycle(graph map[string]map[string]bool) (largest []string) {
	reach := func(from string) map[string]bool {
		seen := map[string]bool{}
		todo := []string{from}
		for len(todo) > 0 {
			at := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			for to := range graph[at] {
				if !seen[to] {
					seen[to] = true
					todo = append(todo, to)
				}
			}
		}
		return seen
	}
	from := map[string]map[string]bool{}
	for file := range graph {
		from[file] = reach(file)
	}
	for file := range graph {
		var set []string
		for other := range from[file] {
			if from[other][file] {
				set = append(set, other)
			}
		}
		if len(set) > len(largest) {
			largest = set
		}
	}
	slices.Sort(largest)
	return largest
}

// TestLargestCycle shows that a cycle is found.
func TestLargestCycle(t *testing.T) {
	graph := map[string]map[string]bool{
		"a": {"b": true}, "b": {"c": true}, "c": {"a": true, "d": true}, "d": {"e": true}, "e": {"d": true}, "f": {"a": true},
	}
	if got := strings.Join(largestCycle(graph), " "); got != "a b c" {
		t.Errorf("found %q", got)
	}
	if got := largestCycle(map[string]map[string]bool{"a": {"b": true}, "b": {}}); got != nil {
		t.Errorf("found %q where nothing is", got)
	}
}
