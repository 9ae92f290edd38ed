// Package faults puts xdpmux in front of everything that can be wrong with an
// interface, a chain or a machine, and looks at what it says.
package faults

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func ours() string              { return harness.Xdpmux() }
func sample(name string) string { return harness.Sample(name) }
func object(name string) string { return harness.Fixture(name) }

// linkTo holds a program on an interface by a bpf_link, until the test ends.
func linkTo(t *testing.T, progFD, ifindex int) *libbpf.FD {
	t.Helper()
	link, err := libbpf.LinkCreate(progFD, ifindex, libbpf.AttachXDP, 0, 0)
	must(t, err)
	t.Cleanup(func() { link.Close() })
	return link
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// decode reads JSON that has no field which T lacks.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return v
}

func fmtID(id uint32) string { return fmt.Sprint(id) }

// counted is the sum over all CPUs of the only number in the only map of the program
// with that id.
func counted(t *testing.T, id uint32) int {
	t.Helper()
	return int(harness.Counters(t, id)[0])
}
