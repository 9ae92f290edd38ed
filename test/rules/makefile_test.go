package rules

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestMakefileNames looks for the tests and packages that the Makefile names: a test under
// another name would be left out of CHOSEN, or run twice, and nobody would see it.
func TestMakefileNames(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"CHOSEN", "ONCE"} {
		m := regexp.MustCompile(`(?m)^` + list + ` *:= ((?:.*\\\n)*.*)$`).FindSubmatch(makefile)
		if m == nil {
			t.Fatalf("the Makefile has no %s", list)
		}
		words := strings.Fields(strings.NewReplacer("|", " ", "\\", " ").Replace(string(m[1])))
		if len(words) < 3 {
			t.Errorf("%s: only %v", list, words)
		}
		for _, w := range words {
			if strings.Contains(w, "/") {
				if _, err := os.Stat("../../" + w); err != nil {
					t.Errorf("%s: %v", list, err)
				}
				continue
			}
			if err := exec.Command("grep", "-rqw", "--include=*_test.go", "func "+w, "..").Run(); err != nil {
				t.Errorf("%s: no test %s: %v", list, w, err)
			}
		}
	}
}
