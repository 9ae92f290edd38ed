package jsondoc

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// What Test looks for, it finds.
func TestLacking(t *testing.T) {
	var chains any
	if err := json.Unmarshal([]byte(`[{"interface": {"name": "eth0"}, "programs": [{"id": 1}, {"name": "a"}]}]`), &chains); err != nil {
		t.Fatal(err)
	}
	got := lacking(reflect.TypeFor[[]struct {
		xdp.Interface `json:"interface"`
		Programs      []xdp.Loaded `json:"programs"`
		Verdicts      map[string]struct {
			Packets uint64 `json:"packets"`
		}
		Missing *int `json:"missing,omitempty"`
		Hidden  int  `json:"-"`
	}](), []any{chains}, "")
	want := []string{".interface.index", ".programs.tag", ".Verdicts, which lacks a name for JSON", ".missing"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
