// Command matrix runs TestCompatibility on several kernels, in VMs, and writes what it
// found to docs/compatibility.md:
//
//	go run ./test/matrix '6.1 6.12 7.2' docs/compatibility.md
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: matrix KERNELS FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
		os.Exit(1)
	}
}

func run(kernels, file string) error {
	// Without the subtest that compares with the file.
	cmd := exec.Command("go", "run", "./test/vm", "-kernel", kernels, "-run", `^TestCompatibility$/^\d`, "./test/transaction")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(os.Stdout, &out), os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the tests failed, and %s is as it was: %w", file, err)
	}
	version, err := exec.Command("build/xdpmux", "--version").Output()
	if err != nil {
		return fmt.Errorf("build/xdpmux --version: %w", err)
	}
	text, err := document(strings.TrimSpace(string(version)), out.String())
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// table is what was found on one kernel.
type table struct {
	kernel      string
	tools, rows []string // in the order they came
	cells       map[[2]string]string
}

// document is the file, of what xdpmux says of itself and the lines that the test has
// printed:
//
//	compatibility: | 6.12 | 1.3.1 | xdpmux joins it | yes |
func document(version, output string) (string, error) {
	var tables []*table
	for line := range strings.SplitSeq(output, "\n") {
		_, found, ok := strings.Cut(line, "compatibility: | ")
		fields := strings.Split(strings.TrimSuffix(strings.TrimSpace(found), " |"), " | ")
		if !ok || len(fields) != 4 {
			continue
		}
		kernel, tool, row, cell := fields[0], fields[1], fields[2], fields[3]
		i := slices.IndexFunc(tables, func(t *table) bool { return t.kernel == kernel })
		if i < 0 {
			i, tables = len(tables), append(tables, &table{kernel: kernel, cells: map[[2]string]string{}})
		}
		t := tables[i]
		if !slices.Contains(t.tools, tool) {
			t.tools = append(t.tools, tool)
		}
		if !slices.Contains(t.rows, row) {
			t.rows = append(t.rows, row)
		}
		t.cells[[2]string{row, tool}] = cell
	}
	if len(tables) == 0 {
		return "", fmt.Errorf("the tests have printed nothing that they found")
	}
	var b strings.Builder
	fmt.Fprintf(&b, introduction, version)
	for _, t := range tables {
		fmt.Fprintf(&b, "\n| Linux %s | %s |\n|---|%s\n", t.kernel, strings.Join(t.tools, " | "), strings.Repeat("---|", len(t.tools)))
		for _, row := range t.rows {
			b.WriteString("| " + row)
			for _, tool := range t.tools {
				b.WriteString(" | " + t.cells[[2]string{row, tool}])
			}
			b.WriteString(" |\n")
		}
	}
	return b.String(), nil
}

const introduction = `# What shares chains with what

The native tools of several libxdp beside one xdpmux, on one chain, in both directions. A
column is a version of xdp-tools and its libxdp; "in both" is an xdpmux that uses that
libxdp, too, and the libbpf beside it, as shared libraries. "no" is followed by what the
tool says; the chain was then as before. "The other version" is a dispatcher of version 3
beside a libxdp that writes 2, and the other way round: so a chain stands after an upgrade
of the distribution, and ` + "`xdpmux upgrade`" + ` gives it back to the tool.

` + "`make test-matrix`" + ` runs all this in VMs and writes this file; ` + "`make test`" + ` compares its
kernels with it. Here it was %s.
`
