package drivers

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

// cell is what the table of docs/drivers.md says of a driver on one kernel. The tests expect it of
// the driver, so that what is written there is what was found.
type cell struct {
	native bool
	limit  int  // bytes of the largest IP packet that a chain without frags support gets; 0: any
	frags  bool // a chain with frags support gets larger ones
	keeps  bool // it keeps programs that were replaced, for good
}

var (
	tableRow  = regexp.MustCompile(`(?m)^\| (.+) \|$`)
	tableCell = regexp.MustCompile(`^(native|skb)(?:, (\d+) bytes)?(, frags)?(, keeps what is replaced)?$`)
)

// page is the cell of a driver on this kernel. A kernel without a column is expected to do what the
// newest does that is older than it.
func page(t *testing.T, driver string) (says cell) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/drivers.md")
	if err != nil {
		t.Fatal(err)
	}
	column := 0
	for _, m := range tableRow.FindAllStringSubmatch(string(doc), -1) {
		fields := strings.Split(m[1], " | ")
		if fields[0] == "driver" {
			column = slices.IndexFunc(fields, func(f string) bool {
				version, ok := strings.CutPrefix(f, "Linux ")
				return ok && harness.KernelBefore(t, version)
			})
			if column < 0 {
				column = len(fields)
			}
			column--
		}
		if fields[0] != driver {
			continue
		}
		words := tableCell.FindStringSubmatch(fields[max(column, 1)])
		if words == nil {
			t.Fatalf("docs/drivers.md says %q of %s, which no test can look at", fields, driver)
		}
		says.native, says.frags = words[1] == "native", words[3] != ""
		says.keeps = words[4] != ""
		says.limit, _ = strconv.Atoi(words[2])
		return says
	}
	t.Fatalf("docs/drivers.md has no row for %s", driver)
	return says
}

// Every row is a driver that a test takes the whole road.
func TestPage(t *testing.T) {
	doc, err := os.ReadFile("../../docs/drivers.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, m := range tableRow.FindAllStringSubmatch(string(doc), -1) {
		rows = append(rows, strings.Split(m[1], " | ")[0])
	}
	if want := []string{"driver", "virtio_net", "vmxnet3", "tun", "bonding", "8021q"}; !slices.Equal(rows, want) {
		t.Errorf("docs/drivers.md has rows %q, want %q", rows, want)
	}
}
