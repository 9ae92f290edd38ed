package command

import (
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestFeatures asks for a veth's features, where a kernel from 6.3 on can tell, and
// looks at what an older one gets.
func TestFeatures(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stdout, stderr, status := harness.Run(t, harness.Xdpmux(), "features", v.Name)
	json, _, jsonStatus := harness.Run(t, harness.Xdpmux(), "features", "--json", v.Name)
	if harness.KernelBefore(t, "6.3") {
		want := "xdpmux: this kernel can't tell the XDP features of a driver\n"
		if status != 1 || jsonStatus != 1 || stdout != "" || !strings.HasPrefix(stderr, want) {
			t.Errorf("exit status %d, stdout %q, stderr %q", status, stdout, stderr)
		}
		return
	}
	// A veth without GRO or a program on its peer can't be transmitted to.
	want := `NETDEV_XDP_ACT_BASIC:		yes
NETDEV_XDP_ACT_REDIRECT:	yes
NETDEV_XDP_ACT_NDO_XMIT:	no
NETDEV_XDP_ACT_XSK_ZEROCOPY:	no
NETDEV_XDP_ACT_HW_OFFLOAD:	no
NETDEV_XDP_ACT_RX_SG:		yes
NETDEV_XDP_ACT_NDO_XMIT_SG:	no
`
	if status != 0 || stdout != want || stderr != "" {
		t.Errorf("exit status %d, stderr %q, stdout\n%s\nwant\n%s", status, stderr, stdout, want)
	}
	for _, name := range []string{"TIMESTAMP", "HASH", "VLAN_TAG"} {
		if want := `"NETDEV_XDP_RX_METADATA_` + name + `": true`; !strings.Contains(json, want) {
			t.Errorf("no %s in %s", want, json)
		}
	}
	if jsonStatus != 0 || !strings.Contains(json, `"NETDEV_XDP_ACT_RX_SG": true`) || !strings.Contains(json, `"NETDEV_XDP_ACT_NDO_XMIT": false`) {
		t.Errorf("exit status %d, %s", jsonStatus, json)
	}
}
