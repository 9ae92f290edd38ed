#!/bin/sh
# Prints the picture of README: a chain at work in a VM.
set -eu
cd "$(dirname "$0")/.."
if [ "${1-}" != inside ]; then
	exec go run ./test/vm -kernel 6.12 -native '' -add test/picture.sh -- sh test/picture.sh inside
fi
ip netns add other
ip link add eth0 type veth peer name eth1 netns other
ip address add 192.0.2.1/24 dev eth0
ip address add 2001:db8::1/64 dev eth0 nodad
ip link set eth0 up
ip -n other address add 192.0.2.2/24 dev eth1
ip -n other address add 2001:db8::2/64 dev eth1 nodad
ip -n other link set eth1 up
mac=$(cat /sys/class/net/eth0/address)
ip -n other neighbour add 2001:db8::1 lladdr "$mac" dev eth1
ip -n other neighbour add 192.0.2.1 lladdr "$mac" dev eth1
xdpmux load eth0 build/bpf/xdp_count.o build/bpf/xdp_drop_ipv6.o build/bpf/xdp_pass.o
ip netns exec other ping -q -i 0.001 192.0.2.1 >/dev/null &
four=$!
ip netns exec other ping -q -i 0.002 2001:db8::1 >/dev/null &
six=$!
xdpmux stats eth0 --interval 3 --svg -
kill $four $six
