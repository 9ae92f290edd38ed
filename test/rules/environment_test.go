package rules

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var readsEnvironment = regexp.MustCompile(`\bos\.(Getenv|LookupEnv|Environ|ExpandEnv)\(`)

// TestEnvironment keeps the library from reading variables but as libxdp does, which knows
// whose environment isn't to be trusted.
func TestEnvironment(t *testing.T) {
	const only = "../../dispatcher/internal/privilege/environment.go"
	found := false
	err := filepath.WalkDir("../../dispatcher", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if !readsEnvironment.Match(text) {
			return err
		}
		if found = found || path == only; path != only {
			t.Errorf("%s reads the environment: getenv does that", path)
		}
		return err
	})
	if err != nil || !found {
		t.Errorf("%s doesn't read the environment: %v", only, err)
	}
}
