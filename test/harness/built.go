package harness

import (
	"cmp"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Xdpmux is the command under test, $XDPMUX or else the one in PATH.
func Xdpmux() string { return cmp.Or(os.Getenv("XDPMUX"), "xdpmux") }

// Sample is the path, from the directory of a test package, of an object that make
// has built of bpf/samples.
func Sample(name string) string { return filepath.Join("../../build/bpf", name+".o") }

// Fixture is Sample for an object of bpf/fixtures.
func Fixture(name string) string { return Sample(filepath.Join("fixtures", name)) }

// Chance is a source of random numbers. It logs its seed; with that in $XDPMUX_TEST_SEED a
// failed test can be repeated.
func Chance(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("XDPMUX_TEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 0, 64); err != nil {
			t.Fatalf("XDPMUX_TEST_SEED: %v", err)
		}
	}
	t.Logf("XDPMUX_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
