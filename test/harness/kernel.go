package harness

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// KernelBefore says whether the running kernel is older than a version such as "6.12".
func KernelBefore(t testing.TB, version string) bool {
	t.Helper()
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	var have, want [2]int
	for text, v := range map[string]*[2]int{unix.ByteSliceToString(uts.Release[:]): &have, version: &want} {
		if _, err := fmt.Sscanf(text, "%d.%d", &v[0], &v[1]); err != nil {
			t.Fatalf("kernel %q: %v", text, err)
		}
	}
	return have[0] < want[0] || have[0] == want[0] && have[1] < want[1]
}
