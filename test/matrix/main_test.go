package main

import (
	"os"
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

// TestPromises holds the written tables to what xdpmux promises of any of them: it never fails
// where it acts, and the host's tool can show, join, change and clear every chain that it starts.
func TestPromises(t *testing.T) {
	text, err := os.ReadFile("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]int{}
	for line := range strings.SplitSeq(string(text), "\n") {
		row, cells, ok := strings.Cut(strings.Trim(line, "| "), " | ")
		switch row {
		case "the tool shows it", "the tool joins it", "the tool takes a program of its own out", "the tool takes one of xdpmux out",
			"the tool cleans beside it", "the tool clears it", "the tool shows the chain with it", "the tool clears the chain with it":
		default:
			ok = ok && strings.HasPrefix(row, "xdpmux ")
		}
		if !ok {
			continue
		}
		held[row]++
		for cell := range strings.SplitSeq(cells, " | ") {
			if cell != "yes" && !strings.HasPrefix(cell, "version ") {
				t.Errorf("%s: %q", row, cell)
			}
		}
	}
	tables := strings.Count(string(text), "\n| Linux ")
	for row, n := range held {
		if n != tables {
			t.Errorf("%s: in %d of %d tables", row, n, tables)
		}
	}
	if len(held) < 18 {
		t.Errorf("only %d rows were found: %v", len(held), held)
	}
}
