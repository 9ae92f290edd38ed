package objectfile

import (
	"os"
	"slices"
	"testing"
)

// TestTailCalls reads the slots that an object fills, and takes them away.
func TestTailCalls(t *testing.T) {
	data, err := os.ReadFile("../../../build/bpf/fixtures/tailcall.o")
	if err != nil {
		t.Fatal(err)
	}
	before, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	want := []TailCall{{"calls", 0, "t_pass"}, {"calls", 1, "t_drop"}, {"calls", 2, "t_tx"}, {"calls", 4, "t_again"}}
	if got := before.TailCalls(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	after, err := Parse(before.WithoutTailCalls())
	if err != nil {
		t.Fatal(err)
	}
	if got := after.TailCalls(); got != nil {
		t.Errorf("still there: %v", got)
	}
	if diff := otherwiseChanged(before, after); diff != mapRelocations {
		t.Errorf("section %q has changed", diff)
	}
	if got := before.TailCalls(); !slices.Equal(got, want) {
		t.Errorf("the file itself has changed: %v", got)
	}
}
