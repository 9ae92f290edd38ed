package rules

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeExample holds the README's Go example to one that is compiled.
func TestReadmeExample(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := os.ReadFile("../../dispatcher/example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) == 0 {
		t.Fatal("the README has no Go example")
	}
	fold := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	for _, block := range blocks {
		if !strings.Contains(fold(string(compiled)), fold(block[1])) {
			t.Errorf("not part of dispatcher/example_test.go:\n%s", block[1])
		}
	}
}

// TestPrivileges holds the README and the package's documentation to the same words about
// what a change of a chain takes.
func TestPrivileges(t *testing.T) {
	const words = "CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON, for chains that xdpmux has loaded. It takes CAP_SYS_ADMIN, " +
		"which includes the latter two, for chains of other tools, for programs without a dispatcher, and for maps."
	for _, file := range []string{"README.md", "dispatcher/doc.go"} {
		text, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		if said := strings.Join(strings.Fields(strings.ReplaceAll(string(text), "//", "")), " "); !strings.Contains(said, words) {
			t.Errorf("%s doesn't say: %s", file, words)
		}
	}
}

// TestReadmeLinks follows the README's links to files, and finds every document
// among them.
func TestReadmeLinks(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	linked := map[string]bool{}
	for _, m := range regexp.MustCompile(`\]\(([^):]+)\)`).FindAllStringSubmatch(string(readme), -1) {
		linked[m[1]] = true
		if _, err := os.Stat("../../" + m[1]); err != nil {
			t.Error(err)
		}
	}
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(documents) == 0 {
		t.Fatal("no documents: ", err)
	}
	for _, path := range documents {
		if name := "docs/" + filepath.Base(path); !linked[name] {
			t.Errorf("the README has no link to %s", name)
		}
	}
}
