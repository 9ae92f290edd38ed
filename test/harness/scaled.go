package harness

import (
	"os"
	"testing"
	"time"
)

// Scaled is how often to do something: full times with XDPMUX_TEST_SCALE=1, as make
// test-full has it, and part times otherwise, because an emulated VM is slow.
func Scaled(full, part int) int {
	if os.Getenv("XDPMUX_TEST_SCALE") == "1" {
		return full
	}
	return part
}

// ByInstructions says whether time goes on by what the VM's processor does, and so can be held to what
// a server does: with XDPMUX_TEST_CLOCK=instructions, which -qemu '-icount shift=0,sleep=off' has to go
// with. That is a machine of 10^9 instructions a second. Else an emulated VM is slow.
func ByInstructions() bool { return os.Getenv("XDPMUX_TEST_CLOCK") == "instructions" }

// Lasting is how long a test that can go on and on is to do so: what XDPMUX_TEST_FOR says, such as
// 1h; 0 without it.
func Lasting(t testing.TB) time.Duration {
	t.Helper()
	text := os.Getenv("XDPMUX_TEST_FOR")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("XDPMUX_TEST_FOR: %v", err)
	}
	return d
}
