//go:build cosign

package registry

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness/images"
)

// TestCosign signs with the cosign that XDPMUX_COSIGN names, as make test-cosign does.
func TestCosign(t *testing.T) {
	cosign := os.Getenv("XDPMUX_COSIGN")
	s, c := images.Start(t, ""), testClient(t)
	t.Chdir(t.TempDir())
	t.Setenv("COSIGN_PASSWORD", "")
	run := func(args ...string) {
		t.Helper()
		if said, err := exec.Command(cosign, args...).CombinedOutput(); err != nil {
			t.Fatalf("cosign %v: %v\n%s", args, err, said)
		}
	}
	run("generate-key-pair")
	for i, b := range []*Built{built(t, Source{File: "a.o", Data: elfOf(1, "x")}), built(t, Source{File: "a.o", Data: elfOf(1, "y")}, Source{File: "a.o", Data: elfOf(2, "y")})} {
		object := s.Name(fmt.Sprintf("a/b:v%d", i))
		push(t, c, object, b)
		if _, err := c.Fetch(t.Context(), image.Request{Object: object, Keys: []string{"cosign.pub"}}); !errors.Is(err, xdp.ErrSignature) {
			t.Error(err)
		}
		run("sign", "--yes", "--key", "cosign.key", "--tlog-upload=false", "--allow-insecure-registry", strings.TrimPrefix(image.Pin(object, b.Digest), image.Scheme))
		fetched(t, c, object, "cosign.pub")
	}
}
