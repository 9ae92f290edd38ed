package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

const (
	xdpmux = "../../build/xdpmux"
	pairs  = 1000 // twice as many interfaces
	limit  = 10 * time.Minute
)

// TestStatusOfThousands compares status with the native tool's, which would take minutes
// for it in a VM. It attaches programs without a dispatcher, for which any kernel
// is good enough, and compares the texts byte for byte.
func TestStatusOfThousands(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make network namespaces and load programs: run this as root")
	}
	inNetns(t, func() error {
		var batch strings.Builder
		for i := range pairs {
			fmt.Fprintf(&batch, "link add s%d type veth peer name peer-of-s%d\n", i, i)
		}
		if _, err := run(batch.String(), "ip", "-batch", "-"); err != nil {
			return err
		}
		for i, object := range []string{"xdp_pass", "xdp_drop", "xdp_count", "xdp_drop_ipv6"} {
			for n := range 10 {
				mode := []int{unix.XDP_FLAGS_SKB_MODE, unix.XDP_FLAGS_DRV_MODE}[n%2]
				if err := attach(object, fmt.Sprintf("s%d", n*pairs/10+i), mode); err != nil {
					return err
				}
			}
		}
		// Looked at, so that go test runs this again with another build.
		if _, err := os.Stat(xdpmux); err != nil {
			return fmt.Errorf("make build comes first: %w", err)
		}
		start := time.Now()
		ours, err := run("", xdpmux, "status")
		if err != nil {
			return err
		}
		took := time.Since(start)
		start = time.Now()
		native, err := run("", "xdp-loader", "status")
		if err != nil {
			return err
		}
		t.Logf("xdpmux took %v, xdp-loader %v", took, time.Since(start))
		if lines := strings.Count(native, "\n"); lines < 2*pairs || strings.Count(native, "xdp_drop_ipv6") != 10 {
			return fmt.Errorf("xdp-loader printed %d lines", lines)
		}
		if diff := cmp.Diff(native, ours); diff != "" {
			return fmt.Errorf("xdp-loader, and + xdpmux:\n%s", diff)
		}
		return nil
	})
}

// inNetns calls f in a network namespace of its own, with whatever it starts. The
// interfaces go with it, and with them the programs.
func inNetns(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- os.NewSyscallError("unshare", err)
			return
		}
		done <- f()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func attach(object, ifname string, mode int) error {
	obj, err := libbpf.OpenFile("../../build/bpf/"+object+".o", libbpf.OpenOptions{})
	if err != nil {
		return err
	}
	defer obj.Close()
	if err := obj.Load(); err != nil {
		return err
	}
	link, err := netlink.LinkByName(ifname)
	if err != nil {
		return fmt.Errorf("%s: %w", ifname, err)
	}
	return netlink.LinkSetXdpFdWithFlags(link, obj.Programs()[0].FD(), mode)
}

func run(stdin, name string, args ...string) (stdout string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w\n%s", err, exit.Stderr)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return string(out), err
}
