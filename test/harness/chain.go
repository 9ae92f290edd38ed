package harness

import (
	"context"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// Status is what runs on an interface. It can be called while the test cleans up, too.
func Status(t testing.TB, ifname string) *dispatcher.Chain {
	t.Helper()
	chain, err := dispatcher.Status(context.Background(), ifname)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// Programs are the names of the component programs on v, in the order of the chain.
func Programs(t testing.TB, v *Veth) string {
	t.Helper()
	var names []string
	for _, p := range Status(t, v.Name).Programs {
		names = append(names, p.Name)
	}
	return strings.Join(names, " ")
}
