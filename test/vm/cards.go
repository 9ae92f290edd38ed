package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

//go:embed taps.sh
var tapsScript string

// cards are two network cards of the VM with a cable between them.
type cards struct {
	name    string
	driver  string
	devices [2]string // as qemu's -device calls them, with their properties
	taps    bool      // the cable is made of tap devices of this host: these have queues and offloads
}

// tapQueues is how many queues a card on a tap device has. A virtio_net card of a VM with two
// processors needs four for XDP.
const tapQueues = 4

// allCards are what -cards can name. On virtio_net-queues a program can go on the first card
// alone: the second has offloads that nobody but qemu could switch off.
var allCards = []cards{
	{"virtio_net", "virtio_net", [2]string{"virtio-net-pci", "virtio-net-pci"}, false},
	{"virtio_net-queues", "virtio_net", [2]string{"virtio-net-pci,mq=on,vectors=10", "virtio-net-pci,mq=on,vectors=10,ctrl_guest_offloads=off"}, true},
	{"vmxnet3", "vmxnet3", [2]string{"vmxnet3", "vmxnet3"}, false},
}

// chooseCards finds the cards of these names. It leaves out, and tells, what this host can't do.
func chooseCards(ctx context.Context, names []string, stderr io.Writer) ([]cards, error) {
	var chosen []cards
	for _, name := range names {
		at := slices.IndexFunc(allCards, func(c cards) bool { return c.name == name })
		if at < 0 {
			return nil, fmt.Errorf("-cards: no cards %q; there are %s", name, strings.Join(cardNames(), ", "))
		}
		c := allCards[at]
		if c.taps {
			if err := tryTaps(ctx); err != nil {
				fmt.Fprintf(stderr, "vm: no tap devices on this host, so no cards %s in the VM: %v\n", name, err)
				continue
			}
		}
		chosen = append(chosen, c)
	}
	return chosen, nil
}

func cardNames() (names []string) {
	for _, c := range allCards {
		names = append(names, c.name)
	}
	return names
}

// mac is the address of a card, by which it is known in the VM.
func (c cards) mac(end int) string {
	kind := slices.IndexFunc(allCards, func(other cards) bool { return other.name == c.name })
	return fmt.Sprintf("52:54:00:00:%02x:%02x", kind, end)
}

// args are those for qemu.
func (c cards) args(number int) (args []string) {
	for end, device := range c.devices {
		id := fmt.Sprintf("cards%d-%d", number, end)
		netdev := fmt.Sprintf("hubport,id=%s,hubid=%d", id, number)
		if c.taps {
			netdev = fmt.Sprintf("tap,id=%s,ifname=%s,script=no,downscript=no,queues=%d", id, tapNames[end], tapQueues)
		}
		// Nothing is booted over them, so qemu needs no file for that.
		args = append(args, "-netdev", netdev, "-device", fmt.Sprintf("%s,netdev=%s,mac=%s,romfile=", device, id, c.mac(end)))
	}
	return args
}

// tapNames are the tap devices of a VM, in a network namespace of its own.
var tapNames = [2]string{"tap0", "tap1"}

// inTaps has a command run in a network namespace where the tap devices are.
func inTaps(cmd *exec.Cmd) error {
	shell, err := exec.LookPath("sh")
	if err != nil {
		return err
	}
	cmd.Args = append([]string{"sh", "-c", tapsScript, "taps"}, append([]string{cmd.Path}, cmd.Args[1:]...)...)
	cmd.Path = shell
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return nil
}

// tryTaps finds out whether this host can make tap devices, by making them.
func tryTaps(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "true")
	if err := inTaps(cmd); err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// loadCards is the part of the payload's script that tells tests which cards there are. Tests
// load the drivers themselves, so that other tests meet no further interfaces. A command finds
// the cards there.
func loadCards(all []cards, command bool) string {
	var known, macs []string
	drivers := []string{"virtio_pci"} // built into newer kernels
	for _, c := range all {
		macs = append(macs, c.mac(0), c.mac(1))
		known = append(known, fmt.Sprintf("%s=%s,%s", c.name, c.mac(0), c.mac(1)))
		drivers = append(drivers, c.driver)
	}
	script := fmt.Sprintf("export XDPMUX_CARDS='%s'\n", strings.Join(known, " "))
	if !command || len(all) == 0 {
		return script
	}
	return script + fmt.Sprintf("for driver in %s; do modprobe $driver 2>/dev/null; done\n"+
		"for mac in %s; do until cat /sys/class/net/*/address | grep -q $mac; do sleep 0.01; done; done\n",
		strings.Join(drivers, " "), strings.Join(macs, " "))
}
