#!/bin/sh
# Installs what build, demo and tests need and isn't there yet, through apt or dnf.
# Go itself (1.24 or newer) is not among it.
set -eu

apt_packages="git gcc make pkg-config clang llvm lld libbpf-dev libxdp-dev libpcap-dev libelf-dev zlib1g-dev
	iproute2 ethtool util-linux bash dash coreutils iputils-ping
	xdp-tools bpftool tcpdump tshark time qemu-system-x86 qemu-system-arm busybox-static kmod xz-utils zstd prometheus systemd zsh fish groff-base strace libcap2-bin docker-registry"
# In Ubuntu it is a snap, which roots and containers can't install.
if grep -qx ID=debian /etc/os-release; then apt_packages="$apt_packages chromium"; fi
dnf_packages="git gcc make pkgconf-pkg-config clang llvm lld libbpf-devel libxdp-devel libpcap-devel elfutils-libelf-devel zlib-devel
	iproute ethtool util-linux bash dash coreutils iputils
	xdp-tools bpftool tcpdump wireshark-cli time qemu-system-x86-core qemu-system-aarch64-core busybox kmod xz zstd golang-github-prometheus systemd zsh fish groff-base strace libcap"

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

if ! command -v go >/dev/null; then
	echo "deps: Go is missing; xdpmux needs Go 1.24 or newer: https://go.dev/dl/" >&2
	exit 1
fi

missing=
if command -v apt-get >/dev/null; then
	for package in $apt_packages; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
	done
	[ -n "$missing" ] || exit 0
	echo "deps: installing$missing" >&2
	as_root apt-get -q update >/dev/null
	# Ubuntu before 25.04 has it in another package, which is one of several that provide it.
	[ -n "$(apt-cache show bpftool 2>/dev/null)" ] || missing=$(echo "$missing" | sed 's/bpftool/linux-tools-common/')
	# Recommended packages would bring a desktop along with qemu.
	as_root env DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes apt-get -q -y --no-install-recommends install $missing >/dev/null
elif command -v dnf >/dev/null; then
	for package in $dnf_packages; do
		rpm -q --whatprovides "$package" >/dev/null 2>&1 || missing="$missing $package"
	done
	[ -n "$missing" ] || exit 0
	echo "deps: installing$missing" >&2
	as_root dnf -q -y --setopt=install_weak_deps=False install $missing >/dev/null
else
	echo "deps: neither apt nor dnf is here; install what stands for: $apt_packages" >&2
	exit 1
fi
