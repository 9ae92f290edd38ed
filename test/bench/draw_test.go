package main

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDraw draws the document that is there, whose tables have to be found.
func TestDraw(t *testing.T) {
	document, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := draw(string(document), dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{statusPicture, ratiosPicture} {
		picture, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := xml.Unmarshal(picture, new(struct{})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		there, err := os.ReadFile("../../docs/" + name)
		if err != nil || string(there) != string(picture) {
			t.Errorf("docs/%s isn't what docs/benchmarks.md says: make bench (%v)", name, err)
		}
		if !strings.Contains(string(document), "]("+name+")") {
			t.Errorf("docs/benchmarks.md doesn't show %s", name)
		}
	}
}
