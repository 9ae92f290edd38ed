package main

import (
	"strings"
	"testing"
)

// TestDocument makes a table for each kernel, of lines in the order that they come, with a
// cell left empty where a tool has none.
func TestDocument(t *testing.T) {
	const output = `=== KERNEL 6.1
    compatibility_test.go:33: compatibility: | 6.1 | 1.3.1 | it joins | yes |
    compatibility_test.go:33: compatibility: | 6.1 | 1.3.1 | it leaves | no: busy |
    compatibility_test.go:33: compatibility: | 6.1 | 1.6.3 | it leaves | yes |
--- PASS: TestCompatibility/1.6.3 (1s)
    compatibility_test.go:33: compatibility: | 6.12 | 1.3.1 | it joins | yes |
`
	const want = `
| Linux 6.1 | 1.3.1 | 1.6.3 |
|---|---|---|
| it joins | yes |  |
| it leaves | no: busy | yes |

| Linux 6.12 | 1.3.1 |
|---|---|
| it joins | yes |
`
	got, err := document("xdpmux version 9", output)
	if err != nil || !strings.HasSuffix(got, "Here it was xdpmux version 9.\n"+want) {
		t.Errorf("%v\n%s", err, got)
	}
	if got, err := document("xdpmux version 9", "ok\n"); err == nil {
		t.Errorf("of nothing: %s", got)
	}
}
