#!/bin/bash
# In the VM: installs, upgrades, removes and purges the packages in a Debian root with systemd,
# under a chain that the package itself has loaded, and that has packets all the time. Arguments:
# the root's archive, two .deb, the second newer, and two .rpm.
set -euo pipefail
trap 'echo "FAIL: line $LINENO: $BASH_COMMAND" >&2' ERR
archive=$1 root=/tmp/root debs=("$2" "$3") rpms=("$4" "$5")

fail() {
	echo "FAIL: $*" >&2
	exit 1
}
say() { echo "ok: $*"; }

mkdir "$root"
tar -xf "$archive" -C "$root"
rm "$archive"

# The root's systemd, in namespaces of its own, but on this network. It says when it is up.
mkfifo "$root/ready"
cat >"$root/etc/systemd/system/ready.service" <<-'END'
	[Unit]
	After=basic.target
	Requires=basic.target
	[Service]
	Type=oneshot
	RemainAfterExit=yes
	ExecStart=/bin/sh -c 'echo >/ready'
END
cp "${debs[@]}" "${rpms[@]}" "$root/root"
# shellcheck disable=SC2016
unshare --pid --mount --cgroup --fork --kill-child sh -c '
	mount --make-rprivate / && mount --bind "$0" "$0" && cd "$0" && mount -t proc proc proc &&
	for dir in sys dev; do mount --rbind /$dir $dir || exit; done && mount -t tmpfs tmpfs run && mount -t tmpfs tmpfs tmp &&
	exec env container=test chroot . /usr/lib/systemd/systemd --system --unit=ready.service --show-status=no' "$root" >/tmp/systemd.log 2>&1 &
exec 5<>"$root/ready"
read -r -t 90 <&5 || fail "systemd doesn't get ready: $(cat /tmp/systemd.log)"
systemd=$(tr -d " " <"/proc/$!/task/$!/children")
in_root() { nsenter -t "$systemd" -p -m -C -r -w "$@"; }
[ "$(in_root systemctl is-system-running)" != offline ] || fail "systemctl doesn't reach it"
say "systemd $(in_root systemctl --version | head -n 1) of $(. "$root/etc/os-release" && echo "$PRETTY_NAME")"

# Packets of both families come in from another network namespace, 100 a second.
ip netns add far
ip link add veth0 type veth peer name veth1 netns far
ip addr add 10.9.0.1/24 dev veth0 && ip -6 addr add fd09::1/64 dev veth0 nodad && ip link set veth0 up
nsenter --net=/run/netns/far sh -c 'ip addr add 10.9.0.2/24 dev veth1 && ip -6 addr add fd09::2/64 dev veth1 nodad && ip link set veth1 up'
# Who has which address needs no packets, as the chain drops those of IPv6.
mac() { awk '{ print $3 }' <<<"$1"; }
ip -6 neigh add fd09::2 lladdr "$(mac "$(nsenter --net=/run/netns/far ip -br link show veth1)")" dev veth0
nsenter --net=/run/netns/far ip -6 neigh add fd09::1 lladdr "$(mac "$(ip -br link show veth0)")" dev veth1
flood() { exec nsenter --net=/run/netns/far ping -q -i 0.01 "$@"; }

# What runs, as this VM's own command sees it.
running() { xdpmux status --json veth0 | tr -d ' \n' | grep -o '"id":[0-9]*' | tr '\n' ' '; }
same() { [ "$(running)" = "$chain" ] || fail "$1: the chain was $chain, and is $(running)"; say "$1, the chain runs on"; }
active() { in_root systemctl is-active "$1" || true; }
enabled() { in_root systemctl is-enabled "$1" 2>/dev/null || true; }
pids() { in_root systemctl show -P MainPID xdpmux-agent xdpmux-exporter | xargs; }
metrics() { wget -q -O - http://127.0.0.1:9435/metrics | grep -c xdp_count || true; }
left() { find "$root" -xdev \( -name '*xdpmux*' -not -path "$root/root/*" \) | sed "s|$root||" | sort | tr '\n' ' '; }

# installed checks what a first install does, and starts the units: from here on the chain runs.
installed() {
	for unit in xdpmux-apply xdpmux-agent xdpmux-exporter; do
		[ "$(enabled $unit) $(active $unit)" = "disabled inactive" ] || fail "$unit: $(enabled $unit), $(active $unit)"
	done
	[ -d "$root/etc/xdpmux" ] || fail "/etc/xdpmux is missing"
	in_root xdpmux --version
	in_root bash -n /usr/share/bash-completion/completions/xdpmux
	[ "$(zcat "$root/usr/share/man/man8/xdpmux.8.gz" | grep -c '^.TH XDPMUX')" = 1 ] || fail "the man page"
	grep -q 'libelf .*LGPL' "$root/usr/share/doc/xdpmux/copyright" || fail "copyright"
	cat >"$root/etc/xdpmux/veth0.yaml" <<-END
		interfaces:
		  - name: veth0
		    programs:
		      - {name: xdp_count, object: /usr/lib/xdpmux/bpf/xdp_count.o}
		      - {name: xdp_drop_ipv6, object: /usr/lib/xdpmux/bpf/xdp_drop_ipv6.o}
	END
	in_root systemctl -q enable --now xdpmux-apply xdpmux-agent xdpmux-exporter || fail "$(in_root journalctl -b -n 30)"
	chain=$(running)
	[ "$(wc -w <<<"$chain")" = 3 ] || fail "the unit has started: $chain"
	until [ "$(metrics)" -gt 0 ]; do sleep 0.1; done
	say "installed, and its units started: chain $chain"
	flood 10.9.0.1 >/tmp/ping4 2>&1 &
	pings=$!
	flood fd09::1 >/tmp/ping6 2>&1 &
	pings+=" $!"
}

# upgraded checks that agent and exporter run anew, and that nothing else does.
upgraded() { # THEIR PROCESSES BEFORE
	local was now
	same "upgraded"
	for unit in xdpmux-apply xdpmux-agent xdpmux-exporter; do
		[ "$(active $unit) $(enabled $unit)" = "active enabled" ] || fail "upgraded: $unit is $(active $unit), $(enabled $unit)"
	done
	read -ra was <<<"$1"
	read -ra now <<<"$(pids)"
	[ "${was[0]}" != "${now[0]}" ] && [ "${was[1]}" != "${now[1]}" ] || fail "not restarted: ${was[*]}, ${now[*]}"
	until [ "$(metrics)" -gt 0 ]; do sleep 0.1; done
}

gone() {
	[ ! -e "$root/usr/bin/xdpmux" ] && [ ! -e "$root/usr/libexec/xdpmux" ] && [ ! -e "$root/usr/lib/xdpmux" ] || fail "removed: $(left)"
	[ "$(in_root systemctl list-units --plain --no-legend 'xdpmux*')" = "" ] || fail "units are left: $(in_root systemctl list-units 'xdpmux*')"
	[ -s "$root/etc/xdpmux/veth0.yaml" ] && [ -d "$root/var/lib/xdpmux" ] || fail "removed what was to be kept: $(left)"
	same "removed, with state files and history kept"
}

# flooded ends the packets: none that the chain passes was lost, none that it drops came through.
flooded() {
	kill -INT $pings
	wait $pings || true
	tail -n 2 /tmp/ping4 /tmp/ping6
	# Of the last packet nobody waited for the answer.
	awk '/transmitted/ { exit !($1 > 100 && $1 - $4 <= 1) }' /tmp/ping4 || fail "IPv4 packets were lost"
	awk '/transmitted/ { exit !($1 > 100 && $4 == 0) }' /tmp/ping6 || fail "IPv6 packets have passed"
	xdpmux unload -a veth0
}

in_root dpkg -i "/root/$(basename "${debs[0]}")" >/tmp/log 2>&1 || fail "$(cat /tmp/log)"
installed
before=$(pids)
in_root dpkg -i "/root/$(basename "${debs[1]}")" >/tmp/log 2>&1 || fail "$(cat /tmp/log)"
upgraded "$before"
in_root dpkg -r xdpmux >/tmp/log 2>&1 || fail "$(cat /tmp/log)"
grep -q 'XDP programs run on' /tmp/log || fail "prerm says nothing: $(cat /tmp/log)"
gone
in_root dpkg -i "/root/$(basename "${debs[1]}")" >/tmp/log 2>&1 || fail "$(cat /tmp/log)"
[ "$(enabled xdpmux-apply) $(active xdpmux-apply)" = "enabled inactive" ] || fail "installed again: $(enabled xdpmux-apply) $(active xdpmux-apply)"
same "installed again"
in_root dpkg -P xdpmux >/tmp/log 2>&1 || fail "$(cat /tmp/log)"
[ "$(left)" = "" ] || fail "purged, and left: $(left)"
same "purged, with nothing left"
flooded

in_root rpm -i --nodeps "/root/$(basename "${rpms[0]}")" || fail "rpm -i"
in_root rpm -V --nodeps xdpmux || fail "rpm -V"
installed
before=$(pids)
in_root rpm -U --nodeps "/root/$(basename "${rpms[1]}")" || fail "rpm -U"
upgraded "$before"
in_root rpm -e xdpmux || fail "rpm -e"
gone
[ -z "$(find "$root/etc/systemd" -name 'xdpmux*')" ] || fail "still enabled"
flooded
echo "all ok"
