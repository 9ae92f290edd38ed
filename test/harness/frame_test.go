package harness_test

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

func TestFrames(t *testing.T) {
	small := harness.Flow{Payload: []byte("hi")}
	for _, c := range []struct {
		name  string
		frame []byte
		want  string
	}{
		// The checksums are those that tcpdump -vv calls correct.
		{"UDP4", harness.UDP4(small), "020000000002" + "020000000001" + "0800" +
			"4500001e000040004011b6cbc0000201c0000202" + "27104e20000a9e3c" + "6869"},
		{"VLAN", harness.UDP4(harness.Flow{VLAN: []uint16{5, 7}})[12:22], "88a80005" + "81000007" + "0800"},
		{"ARP", harness.ARP(small), "020000000002" + "020000000001" + "0806" +
			"0001080006040001" + "020000000001" + "c0000201" + "000000000000" + "c0000202"},
		{"destination", harness.TCP4(harness.Flow{Dst: netip.MustParseAddr("10.1.2.3"), DstPort: 80})[30:38], "0a010203" + "2710" + "0050"},
		{"payload length", harness.UDP6(harness.Flow{PayloadLen: 3})[54+4 : 54+6], "000b"},
	} {
		if got := hex.EncodeToString(c.frame); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}
