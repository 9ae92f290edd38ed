package rules

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// byID are the calls that open by an id, which takes CAP_SYS_ADMIN.
var byID = regexp.MustCompile(`libbpf\.(ProgByID|MapByID|LinkByID|LoadBTF|NextProgID|NextMapID|NextLinkID)\b|\.SetAttachTarget\(`)

// TestByID has all that is opened by its id opened in one place, which asks for the capability.
func TestByID(t *testing.T) {
	const place = "../../dispatcher/internal/loaded/byid.go"
	found := 0
	err := filepath.WalkDir("../../dispatcher", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		calls := byID.FindAllString(string(text), -1)
		if path == place {
			found = len(calls)
		} else if len(calls) > 0 {
			t.Errorf("%s: %q, and %s is the place for that", path, calls, place)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found == 0 {
		t.Errorf("%s opens nothing", place)
	}
}
