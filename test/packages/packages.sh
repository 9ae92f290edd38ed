#!/bin/bash
# Installs, upgrades, removes and purges the packages of this machine's architecture in roots of
# Debian suites, each in a VM with a kernel of that suite. As root, for mmdebstrap.
#
#	test/packages/packages.sh bookworm:6.1 trixie:6.12
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v mmdebstrap >/dev/null || { echo "packages: mmdebstrap is missing: apt-get install mmdebstrap" >&2; exit 1; }
out=build/packages arch=$(dpkg --print-architecture)
cache=${XDPMUX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/xdpmux}/package-roots

# root makes an archive of one with systemd, and rpm for the other package, once.
root() { # SUITE
	[ ! -f "$cache/$1.tar" ] || return 0
	local mirror valid
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1)
	valid=$(apt-config shell v Acquire::Check-Valid-Until | sed "s/^v='\(.*\)'/\1/")
	mkdir -p "$cache"
	mmdebstrap --quiet --variant=essential --include=systemd,systemd-sysv,rpm --aptopt="Acquire::Check-Valid-Until \"${valid:-true}\"" \
		--customize-hook='rm -rf "$1"/dev/* "$1"/usr/share/doc/* "$1"/usr/share/locale/* "$1"/usr/share/man/*' "$1" "$cache/.$1.tar" "$mirror"
	mv "$cache/.$1.tar" "$cache/$1.tar"
}

# What is upgraded to is the same as the next version of the package.
for release in 1 2; do
	make --no-print-directory -s packages ARCHS="$arch" RELEASE=$release >/dev/null
done
version=$(sed -n 's/^VERSION *?= *//p' Makefile)
case $arch in amd64) rpm=x86_64 ;; arm64) rpm=aarch64 ;; *) rpm=$arch ;; esac
files=("$out/xdpmux_$version-1_$arch.deb" "$out/xdpmux_$version-2_$arch.deb" "$out/xdpmux-$version-1.$rpm.rpm" "$out/xdpmux-$version-2.$rpm.rpm")
add=() inside=()
for file in "${files[@]}"; do
	add+=(-add "$file:/packages/${file##*/}") inside+=("/packages/${file##*/}")
done
for pair in "$@"; do
	suite=${pair%:*}
	root "$suite"
	echo "=== Debian $suite"
	go run ./test/vm -kernel "${pair#*:}" -native '' -mem 3G "${add[@]}" -add test/packages/inside.sh -add "$cache/$suite.tar:/root.tar" -- \
		bash test/packages/inside.sh /root.tar "${inside[@]}"
done
