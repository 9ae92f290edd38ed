//go:build cosign

package registry

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness/images"
)

// TestCosign signs with the versions of cosign that are in the directory of XDPMUX_COSIGN, as make
// test-cosign does. Without a transparency log, as that is out of reach.
func TestCosign(t *testing.T) {
	for version, offline := range map[string][]string{"2": {"--tlog-upload=false"}, "3": {"--tlog-upload=false", "--use-signing-config=false"}} {
		t.Run(version, func(t *testing.T) {
			s, c := images.Start(t, ""), testClient(t)
			t.Chdir(t.TempDir())
			t.Setenv("COSIGN_PASSWORD", "")
			run := func(args ...string) {
				t.Helper()
				if said, err := exec.Command(filepath.Join(os.Getenv("XDPMUX_COSIGN"), version, "cosign"), args...).CombinedOutput(); err != nil {
					t.Fatalf("cosign %v: %v\n%s", args, err, said)
				}
			}
			run("generate-key-pair")
			images.PublicKey(t, "other.pub")
			for i, b := range []*Built{built(t, Source{File: "a.o", Data: elfOf(1, "x")}), built(t, Source{File: "a.o", Data: elfOf(1, "y")}, Source{File: "a.o", Data: elfOf(2, "y")})} {
				object := s.Name(fmt.Sprintf("a/b:v%d", i))
				push(t, c, object, b)
				refused := func(key, want string) {
					t.Helper()
					if _, err := c.Fetch(t.Context(), image.Request{Object: object, Keys: []string{key}}); !errors.Is(err, xdp.ErrSignature) || !strings.Contains(err.Error(), want) {
						t.Error(err)
					}
				}
				refused("cosign.pub", "is not signed")
				run(append(append([]string{"sign", "--yes", "--key", "cosign.key", "--allow-insecure-registry"}, offline...), strings.TrimPrefix(image.Pin(object, b.Digest), image.Scheme))...)
				refused("other.pub", "is signed, but not by")
				fetched(t, c, object, "cosign.pub")
			}
		})
	}
}
