#!/bin/bash
# Records the captures beside it, as root, with tcpdump 4.99 and tshark 4.0 of Debian 12
# (apt-get install tcpdump tshark iputils-ping). The tests read what is committed.
set -euo pipefail
cd "$(dirname "$0")"
if [ "${1:-}" != inside ]; then
	exec unshare --net --mount "./$(basename "$0")" inside
fi
ip link set lo up
unshare --net sleep 60 &
peer=$!
trap 'kill $peer' EXIT
ip link add name left type veth peer name right
until ip link set right netns $peer 2>/dev/null; do :; done
for there in "" "nsenter --net=/proc/$peer/ns/net"; do
	name=left host=1
	[ -z "$there" ] || name=right host=2
	$there sysctl -q net.ipv6.conf.$name.accept_dad=0
	$there ip address add 192.0.2.$host/24 dev $name
	$there ip address add 2001:db8::$host/64 dev $name
	$there ip link set $name up
done

# record FILE COMMAND... captures ten packets of two pings.
record() {
	"${@:2}" 2>/dev/null &
	until [ -s "$1" ]; do :; done
	ping -q -c 3 -i 0.1 -s 1000 192.0.2.2 >/dev/null
	ping -q -c 3 -i 0.1 2001:db8::2 >/dev/null
	wait $!
}
record micro.pcap tcpdump -U -i left -c 10 -w micro.pcap icmp or icmp6 or arp
record nano.pcap tcpdump -U -i left -c 10 --time-stamp-precision=nano -w nano.pcap icmp or icmp6
record cut.pcap tcpdump -U -i left -c 10 -s 60 -w cut.pcap icmp or icmp6
record any.pcap tcpdump -U -i any -c 10 -w any.pcap icmp or icmp6
record dumpcap.pcapng dumpcap -q -i left -c 10 -s 80 -w dumpcap.pcapng -f 'icmp or icmp6'
editcap -F pcapng micro.pcap micro.pcapng
mergecap -F pcapng -w mixed.pcapng micro.pcap any.pcap
echo 'CLIENT_RANDOM 00 00' >keys
editcap -F pcapng -a '2:the second' --inject-secrets tls,keys micro.pcap secrets.pcapng
rm keys
cat micro.pcapng dumpcap.pcapng >sections.pcapng
gzip -n -k -f micro.pcap
chown 0:0 *.pcap* && chmod 644 *.pcap*
# What tshark reads in them; the numbers of its encapsulations are 1: Ethernet, 210: Linux SLL2.
for file in *.pcap*; do
	tshark -r "$file" -T fields -E separator=' ' -e frame.time_epoch -e frame.len -e frame.cap_len -e frame.encap_type |
		sed "s/^/$file /"
done >expected.txt
# The kernel's own name is nobody's business.
sed -i "s/$(uname -r)/$(uname -r | sed 's/[^.]/x/g')/g" *.pcapng
