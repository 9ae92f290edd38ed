package device

import (
	"os"
	"testing"
)

// TestExiting knows a process that ends by its flags, whatever it is called.
func TestExiting(t *testing.T) {
	own, err := os.ReadFile("/proc/thread-self/stat")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		string(own):                                      false,
		"12 (ip) Z 11 11 1 0 -1 4227148 0 0 0 0":         true,
		"12 (a) R 1 (b c) R 11 11 1 0 -1 4194308 0 0 0":  true,
		"12 (a) Z 4 4 (b c) R 11 11 1 0 -1 4194304 0 0 ": false,
		"12 (ip) Z 11":                                   false,
		"":                                               false,
	} {
		if got := exiting(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
