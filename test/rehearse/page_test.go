package rehearse

import (
	"os"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestPage runs the example of docs/rehearse.md. It prints what the page shows, with more where
// the page has dots.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/rehearse.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(page), "```console\n$ xdpmux ")
	example, _, _ = strings.Cut(example, "```")
	command, want, found := strings.Cut(example, "\n")
	if !found {
		t.Fatal("no example")
	}
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	attach(t, v.Name, xdp.Program{File: object(harness.Sample("xdp_count"))})
	six := harness.UDP6(harness.Flow{})
	pcap := harness.WritePcap(t, layers.LinkTypeEthernet, six, six, six, six, harness.UDP4(harness.Flow{}))
	words := strings.NewReplacer("eth0", v.Name, "xdp_drop_ipv6.o", object(harness.Sample("xdp_drop_ipv6")), "traffic.pcapng", pcap)
	stdout, _ := exits(t, 2, strings.Fields(words.Replace(command))...)
	rest := strings.ReplaceAll(stdout, v.Name, "eth0")
	for part := range strings.SplitSeq(want, "...\n") {
		_, after, found := strings.Cut(rest, part)
		if !found {
			t.Fatalf("not printed:\n%s\nin what is left of\n%s", part, stdout)
		}
		rest = after
	}
}
