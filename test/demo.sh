#!/bin/bash
# The demo: three programs share an interface, and real packets cross it.
#
# On a kernel that can't replace functions of a running program, or without root,
# it does the very same in a VM.
set -euo pipefail
cd "$(dirname "$0")/.."
xdpmux=$PWD/build/xdpmux
objects=build/bpf

ns=xdpmux-demo
outer=xdpmuxdemo0 # where the programs run
inner=xdpmuxdemo1 # in the namespace, where the packets come from

setup() {
	ip netns add $ns
	ip link add $outer type veth peer name $inner netns $ns
	ip address add 192.0.2.1/24 dev $outer
	ip address add 2001:db8::1/64 dev $outer nodad
	ip link set $outer up
	ip -n $ns address add 192.0.2.2/24 dev $inner
	ip -n $ns address add 2001:db8::2/64 dev $inner nodad
	ip -n $ns link set $inner up
	# Fixed neighbours: discovery is IPv6 too, and would be dropped with it.
	mac() { cat /sys/class/net/$outer/address; }
	ip -n $ns neighbour add 2001:db8::1 lladdr "$(mac)" dev $inner
	ip -n $ns neighbour add 192.0.2.1 lladdr "$(mac)" dev $inner
}

cleanup() {
	trap - EXIT INT TERM HUP
	$xdpmux unload -a $outer >/dev/null 2>&1 || true
	ip link del $outer 2>/dev/null || true
	ip netns del $ns 2>/dev/null || true
}

# can_chain says whether this kernel runs chains, by trying it.
can_chain() {
	[ "$(id -u)" = 0 ] || { why="not root"; return 1; }
	setup || { why="no network namespaces or no veth here"; return 1; }
	grep -q ' /sys/fs/bpf bpf ' /proc/mounts || mount -t bpf -o mode=0700 bpf /sys/fs/bpf 2>/dev/null || { why="bpffs can't be mounted"; return 1; }
	why=$($xdpmux load --require-dispatcher $outer $objects/xdp_pass.o 2>&1) && return 0
	why=${why%%$'\n'*}
	why=${why#xdpmux: }
	return 1
}

# show prints a command and runs it.
show() {
	echo "\$ ${*//$xdpmux/xdpmux}"
	"$@"
}

# packets sends three packets of one kind and tells how many were answered.
packets() {
	ip netns exec $ns ping "-$1" -c 3 -i 0.2 -W 1 "$2" 2>/dev/null | grep 'packets transmitted' | sed "s/^/IPv$1: /" || true
}

demo() {
	echo "# Three programs on $outer, each with its priority and its chain call actions:"
	show $xdpmux load $outer $objects/xdp_count.o $objects/xdp_drop_ipv6.o
	show $xdpmux load $outer $objects/xdp_pass.o --prio 30 --actions XDP_PASS,XDP_DROP
	show $xdpmux status $outer
	echo "# Real packets from the other side: xdp_drop_ipv6 lets IPv4 pass and drops IPv6."
	packets 4 192.0.2.1
	packets 6 2001:db8::1
	echo
	echo "# Without the filter, IPv6 passes as well:"
	show $xdpmux unload $outer -i "$($xdpmux status $outer | awk '$3 == "xdp_drop_ipv6" { print $4 }')"
	packets 6 2001:db8::1
	echo
	show $xdpmux unload -a $outer
	show $xdpmux status $outer
}

trap cleanup EXIT
trap 'exit 130' INT TERM HUP
if can_chain; then
	$xdpmux unload -a $outer
	demo
	exit
fi
if [ "${XDPMUX_DEMO_IN_VM:-}" ]; then
	echo "demo: $why" >&2
	exit 1
fi
cleanup
echo "demo: chains can't run on this kernel ($why), so here they run in a VM" >&2
mkdir -p build
go build -o build/vm ./test/vm
exec build/vm -native "" -add test/demo.sh:/repo/test/demo.sh -- env XDPMUX_DEMO_IN_VM=1 bash /repo/test/demo.sh
