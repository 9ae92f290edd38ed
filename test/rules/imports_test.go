// Package rules holds the code to rules that no compiler knows.
package rules

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/xdpmux/xdpmux/"

// layers are the folders of the program, the lowest first. Imports run downwards.
var layers = []string{
	"cgo/libbpf", "cgo/libxdp", "cgo/libpcap", "bpf",
	"dispatcher/xdp", "dispatcher/value", "dispatcher/image",
	"dispatcher/internal/proc", "dispatcher/internal/input", "dispatcher/internal/flock", "dispatcher/internal/private", "dispatcher/internal/store", "dispatcher/internal/objectfile", "dispatcher/internal/classic",
	"dispatcher/internal/native", "dispatcher/internal/privilege", "dispatcher/internal/loaded",
	"dispatcher/internal/device", "dispatcher/internal/protocol", "dispatcher/internal/object",
	"dispatcher/filter", "dispatcher/inspect", "dispatcher", "dispatcher/maps", "dispatcher/check", "dispatcher/registry", "dispatcher/history", "dispatcher/desired", "dispatcher/observe", "dispatcher/pending", "dispatcher/rehearse", "dispatcher/fleet", "dispatcher/fleet/bpfman", "dispatcher/fleet/rollout", "dispatcher/agent",
	"cmd/internal/capture", "cmd/internal/terminal", "cmd/internal/output", "cmd/internal/help", "cmd/internal/cmdline", "cmd/internal/images", "cmd/internal/observer", "cmd/internal/agent", "cmd/internal/web",
	"cmd",
}

func layer(dir string) int {
	best := -1
	for i, l := range layers {
		if (dir == l || strings.HasPrefix(dir, l+"/")) && (best < 0 || len(l) > len(layers[best])) {
			best = i
		}
	}
	return best
}

// TestImports keeps the three rules of the design: imports run downwards only,
// import "C" stands only under cgo/, and cmd never imports cgo.
func TestImports(t *testing.T) {
	files := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		dir, err := filepath.Rel("../..", filepath.Dir(path))
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		files++
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if broken := breaks(dir, imported, strings.HasSuffix(path, "_test.go")); broken != "" {
				t.Errorf("%s imports %q: %s", path, imported, broken)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Fatal("no Go file found")
	}
}

// breaks says which rule an import of a file in dir breaks.
func breaks(dir, imported string, test bool) string {
	if imported == "C" && !strings.HasPrefix(dir, "cgo/") {
		return `import "C" stands only under cgo/`
	}
	target, ok := strings.CutPrefix(imported, module)
	if !ok || test {
		return ""
	}
	if strings.HasPrefix(dir, "cmd/") && strings.HasPrefix(target, "cgo/") {
		return "cmd never imports cgo"
	}
	if from, to := layer(dir), layer(target); from >= 0 && (to > from || to < 0) {
		return "imports run downwards only"
	}
	return ""
}

// TestBreaks shows that the rules are able to fail.
func TestBreaks(t *testing.T) {
	for _, c := range []struct {
		dir, imported string
		broken        bool
	}{
		{"dispatcher", "C", true},
		{"cgo/libbpf", "C", false},
		{"cmd/xdpmux", module + "cgo/libbpf", true},
		{"cmd/xdpmux", module + "dispatcher", false},
		{"cmd/xdpmux", module + "cmd/internal/cmdline", false},
		{"cmd/internal/output", module + "cmd/internal/cmdline", true},
		{"cgo/libxdp", module + "dispatcher", true},
		{"cgo/libxdp", module + "cgo/libbpf", false},
		{"cgo/libbpf", module + "cgo/libxdp", true},
		{"dispatcher", module + "dispatcher/observe", true},
		{"dispatcher/observe", module + "dispatcher", false},
		{"dispatcher", module + "test/harness", true},
		{"test/harness", module + "dispatcher", false},
		{"dispatcher", "fmt", false},
	} {
		if got := breaks(c.dir, c.imported, false); (got != "") != c.broken {
			t.Errorf("%s imports %s: %q", c.dir, c.imported, got)
		}
	}
}

// TestXdpmuxIsLean keeps out of xdpmux what stats, top and trace need. These libraries cost
// each start of a program that has them, and xdpmux is started for each change of a chain.
func TestXdpmuxIsLean(t *testing.T) {
	heavy := []string{"github.com/gopacket/", "github.com/prometheus/", "github.com/gdamore/tcell/", "google.golang.org/protobuf/", "github.com/fsnotify/", "github.com/google/go-containerregistry/"}
	linked := map[string]int{}
	for _, program := range []string{"xdpmux", "xdpmux-observe"} {
		out, err := exec.Command("go", "list", "-deps", "../../cmd/"+program).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range strings.Fields(string(out)) {
			for _, h := range heavy {
				if strings.HasPrefix(path, h) {
					linked[program]++
					if program == "xdpmux" {
						t.Errorf("xdpmux has %s in it", path)
					}
				}
			}
		}
	}
	if linked["xdpmux-observe"] == 0 {
		t.Error("xdpmux-observe has none of these either: the list has other names than the libraries")
	}
}
