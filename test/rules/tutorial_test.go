package rules

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tutorialBlocks are the blocks of one language in docs/tutorial.md.
func tutorialBlocks(t *testing.T, language string) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/tutorial.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		blocks = append(blocks, m[1])
	}
	if blocks == nil {
		t.Fatalf("the tutorial has no block of %s", language)
	}
	return blocks
}

// TestTutorialShowsTheSources holds the code on the page to the files it is from.
func TestTutorialShowsTheSources(t *testing.T) {
	for language, pattern := range map[string]string{"c": "../../bpf/samples/*.c", "go": "../../examples/*/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		var sources strings.Builder
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(text)
		}
		for _, block := range tutorialBlocks(t, language) {
			if !strings.Contains(sources.String(), block) {
				t.Errorf("in no file of %s:\n%s", pattern, block)
			}
		}
	}
}

// TestTutorialCompiles runs what the page tells to type to compile, which the VM
// can't: it has no compiler.
func TestTutorialCompiles(t *testing.T) {
	object := filepath.Join(t.TempDir(), "xdp_drop.o")
	for _, block := range tutorialBlocks(t, "sh") {
		cmd := exec.Command("bash", "-ec", strings.ReplaceAll(block, "/tmp/xdp_drop.o", object))
		cmd.Dir = "../.."
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	if _, err := os.Stat(object); err != nil {
		t.Error(err)
	}
}
