package harness

import (
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// Programs are the names of the component programs on v, in the order of the chain.
func Programs(t testing.TB, v *Veth) string {
	t.Helper()
	chain, err := dispatcher.Status(t.Context(), v.Name)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range chain.Programs {
		names = append(names, p.Name)
	}
	return strings.Join(names, " ")
}
