package command

import (
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
	"github.com/xdpmux/xdpmux/test/harness/images"
)

// TestImagesPage runs each command of docs/images.md, with a registry and a key where the page has
// them.
func TestImagesPage(t *testing.T) {
	harness.NoLeak(t)
	images.Start(t, "127.0.0.1:5000")
	images.PublicKey(t, "/tmp/cosign.pub")
	all := stepsOf(t, "../../docs/images.md")
	if len(all) < 10 {
		t.Fatalf("only %d commands found", len(all))
	}
	runSteps(t, "docs/images.md", all)
}
