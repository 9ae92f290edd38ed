package main

import "fmt"

// The user network of qemu: it needs no rights on this host. What the VM sends to hostAddress comes to
// this host's loopback. Nobody reaches the VM from outside.
const (
	hostAddress  = "10.0.2.2"
	guestAddress = "10.0.2.15/24"
	userMAC      = "52:54:00:00:ff:00" // of no card of allCards
)

// userNetArgs are those for qemu.
func userNetArgs() []string {
	return []string{"-netdev", "user,id=user", "-device", "virtio-net-pci,netdev=user,mac=" + userMAC + ",romfile="}
}

// userNetScript is the part of the payload's script that brings the card up.
func userNetScript() string {
	return fmt.Sprintf("for driver in virtio_pci virtio_net; do modprobe $driver 2>/dev/null; done\n"+
		"until card=$(grep -ls %s /sys/class/net/*/address); do sleep 0.01; done\n"+
		"card=${card%%/address}; card=${card##*/}\n"+
		"ip link set $card up && ip addr add %s dev $card && ip route add default via %s\n", userMAC, guestAddress, hostAddress)
}
