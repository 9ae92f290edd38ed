package output

import (
	"runtime/debug"
	"testing"
)

func TestModuleVersion(t *testing.T) {
	for module, want := range map[string]string{
		"v1.2.3":                             "1.2.3", // go install ...@v1.2.3
		"v0.0.0-20260102030405-0123456789ab": "0.0.0-20260102030405-0123456789ab",
		"(devel)":                            "unknown",
		"":                                   "unknown",
	} {
		if got := moduleVersion(&debug.BuildInfo{Main: debug.Module{Version: module}}); got != want {
			t.Errorf("%q: %q, want %q", module, got, want)
		}
	}
}
