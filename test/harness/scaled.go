package harness

import "os"

// Scaled is how often to do something: full times with XDPMUX_TEST_SCALE=1, as make
// test-full has it, and part times otherwise, because an emulated VM is slow.
func Scaled(full, part int) int {
	if os.Getenv("XDPMUX_TEST_SCALE") == "1" {
		return full
	}
	return part
}
