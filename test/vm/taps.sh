# The two tap devices of a VM with a cable between them, a bridge: run in a network namespace of
# its own. What is named in the arguments runs there then. Nothing here sends anything of itself.
set -e
ip link add cable type bridge mcast_snooping 0
ip link set cable mtu 9000 addrgenmode none up
for tap in tap0 tap1; do
	ip tuntap add dev $tap mode tap multi_queue vnet_hdr
	ip link set $tap mtu 9000 addrgenmode none master cable up
done
exec "$@"
