package dispatcher

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// What drivers answer that no VM has, with the texts of their sources (Linux 6.1 to
// 6.12). test/faults provokes those of veth and bonding.
func TestExplainDriver(t *testing.T) {
	const (
		queues  = "nocard0 has not the queues or rings that its driver needs for XDP"
		mtu     = "the MTU of nocard0, or of its other end, is too large for a program without frags support; nocard0 has 9000"
		refused = "the kernel refuses an XDP program on nocard0"
		host    = "the hypervisor gives the card of nocard0 offloads that XDP can't do with and that the guest can't switch off"
		silent  = "the driver of nocard0 refuses an XDP program, and says no more than: "
	)
	for _, c := range []struct {
		driver string
		errno  syscall.Errno
		words  string
		want   string // empty: no fault of the driver
		remedy string
	}{
		{"ena", syscall.EINVAL, "ena: Failed to set xdp program, the Rx/Tx channel count should be at most half of the maximum allowed channel count. The current queue count (4), the maximal queue count (4)", queues, "ethtool -l nocard0"},
		{"ena", syscall.EINVAL, "ena: Failed to set xdp program, there is no enough space for allocating XDP queues, Check the dmesg for more info", queues, "-L and -G"},
		{"nfp", syscall.EINVAL, "nfp: Insufficient number of TX rings w/ XDP enabled", queues, "ethtool -l nocard0"},
		{"enetc", syscall.EBUSY, "fsl_enetc: Reserving 2 XDP TXQs does not leave a minimum of 2 for stack (total 2)", queues, "ethtool -l nocard0"},
		{"gve", syscall.EINVAL, "", silent + "invalid argument", "dmesg"},
		{"bnxt", syscall.EOPNOTSUPP, "", silent + "operation not supported", "dmesg"},
		{"ixgbe", syscall.ENOMEM, "", silent + "cannot allocate memory", "ethtool -l nocard0"},
		{"igc", syscall.EOPNOTSUPP, "igc: Jumbo frames not supported", mtu, "lower the MTU"},
		{"mlx5", syscall.EINVAL, "mlx5_core: XDP is not allowed with striding RQ and MTU(9000) > 3498", mtu, "lower the MTU"},
		{"hv_netvsc", syscall.EOPNOTSUPP, "hv_netvsc: XDP: not support LRO", refused, "skb mode"},
		{"virtio_net", syscall.EOPNOTSUPP, "virtio_net: Can't set XDP while host is implementing GRO_HW/CSUM, disable GRO_HW/CSUM first", host, "guest_csum=off"},
		{"a driver with none of these", syscall.EINVAL, "Filtering during XDP is not supported", refused, "skb mode"},
		{"none with XDP", syscall.EOPNOTSUPP, "Underlying driver does not support XDP in native mode", "", ""},
		{"none with XDP, before 5.13", syscall.EOPNOTSUPP, "underlying driver does not support XDP in native mode", "", ""},
		{"another was faster", syscall.EBUSY, "XDP program already attached", "", ""},
		{"nothing of a driver", syscall.EIO, "", "", ""},
	} {
		said := []string{"libxdp: something else"}
		if c.words != "" {
			said = append(said, native.KernelWords+c.words)
		}
		attach := &libbpf.Error{Op: "bpf_xdp_attach", Errno: c.errno}
		err := explainDriver(device.Device{Interface: xdp.Interface{Name: "nocard0"}, Mtu: 9000}, attempt{mode: xdp.ModeNative}, attach, said)
		want := c.want
		if want != "" && c.words != "" {
			want += " (" + c.words + ")"
		}
		var e *xdp.Error
		switch {
		case want == "":
			if err != nil {
				t.Errorf("%s: %v", c.driver, err)
			}
		case !errors.As(err, &e) || e.Msg != want || !strings.Contains(e.Remedy, c.remedy) || !errors.Is(err, xdp.ErrModeNotSupported) || !errors.Is(err, c.errno):
			t.Errorf("%s: %v\nwant %s", c.driver, err, want)
		}
	}
	// An errno of another call is nothing of the driver's.
	if err := explainDriver(device.Device{}, attempt{mode: xdp.ModeNative}, &libbpf.Error{Op: "bpf_link_create", Errno: syscall.EINVAL}, nil); err != nil {
		t.Error(err)
	}
}

func TestKernelReason(t *testing.T) {
	said := []string{"libxdp: one", native.KernelWords + "first", native.KernelWords + "last", "libxdp: two"}
	if got := kernelReason(said); got != "last" {
		t.Errorf("%q", got)
	}
	if got := kernelReason(said[:1]); got != "" {
		t.Errorf("%q", got)
	}
}
