package fleet

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write deploy/crds.yaml anew")

// TestCRDs holds deploy/crds.yaml to what it is made from: go test ./dispatcher/fleet -update.
func TestCRDs(t *testing.T) {
	const file = "../../deploy/crds.yaml"
	want, err := CRDs()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("go test ./dispatcher/fleet -update writes it anew (-want +got):\n%s", diff)
	}
}
