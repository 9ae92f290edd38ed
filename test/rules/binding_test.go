package rules

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libxdp"
)

// later are functions of libxdp that the header of this machine may not have yet.
var later = []string{
	"xsk_umem__create_with_fd",                         // 1.4
	"xsk_umem__create_opts", "xsk_socket__create_opts", // 1.5
	"xdp_multiprog__xdp_dev_bound", // 1.6
}

var declaration = regexp.MustCompile(`(?m)^[a-zA-Z][\w \t]*[ \t*\n]((?:libxdp|xdp_program|xdp_multiprog|xsk)_\w+)\(`)

// TestBinding holds cgo/libxdp to what it says of itself: each function of libxdp's
// headers is named by the documentation of what stands for it, or of the package.
func TestBinding(t *testing.T) {
	functions := slices.Clone(later)
	for _, header := range []string{"libxdp.h", "xsk.h"} {
		text, err := os.ReadFile(filepath.Join("/usr/include/xdp", header))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range declaration.FindAllStringSubmatch(string(text), -1) {
			functions = append(functions, m[1])
		}
	}
	if len(functions) < 60 {
		t.Fatalf("only %d functions found: %q", len(functions), functions)
	}
	var comments strings.Builder
	files, err := filepath.Glob("../../cgo/libxdp/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if comment, ok := strings.CutPrefix(strings.TrimSpace(line), "//"); ok {
				comments.WriteString(comment)
			}
		}
	}
	for _, function := range functions {
		if !regexp.MustCompile(`\b` + function + `\b`).MatchString(comments.String()) {
			t.Errorf("%s: no method stands for it, and doc.go doesn't say why", function)
		}
	}
}

// TestBindingVersion compares the version that the binding finds, where no Makefile tells
// it, with that of the package that is installed.
func TestBindingVersion(t *testing.T) {
	out, err := exec.Command("pkg-config", "--modversion", "libxdp").Output()
	if err != nil {
		t.Fatal(err)
	}
	installed := strings.TrimSpace(string(out))
	known := []string{"1.3", "1.4", "1.5", "1.6"}
	want := known[len(known)-1] // or newer
	for _, series := range known {
		if installed == series || strings.HasPrefix(installed, series+".") {
			want = series
		}
	}
	if got := libxdp.Version(); got != want {
		t.Errorf("libxdp %s is taken for %s, want %s", installed, got, want)
	}
}
