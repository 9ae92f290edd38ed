#!/bin/bash
# Builds, tests and shows xdpmux in a fresh root of each Debian or Ubuntu suite, with what git
# clones and the packages of test/deps.sh alone; Go is this machine's. As root: it makes the roots
# with mmdebstrap. Says one line for each step; what a failing one printed follows it. On Ubuntu
# there is no demo, as its VM takes Debian's kernels.
#
#	test/distributions.sh bookworm trixie sid noble
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "distributions: only root may make the roots" >&2; exit 1; }
command -v mmdebstrap >/dev/null || { echo "distributions: mmdebstrap is missing: apt-get install mmdebstrap" >&2; exit 1; }
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1)
if [ -z "$mirror" ]; then
	echo "distributions: apt here has no source of Debian's packages" >&2
	exit 1
fi
ubuntu=http://archive.ubuntu.com/ubuntu
roots=$(mktemp -d)
trap 'rm -rf --one-file-system "$roots"' EXIT

# inside runs a command in the source of a root. Mounts end with the namespace.
inside() {
	root=$1 goroot=$(go env GOROOT) modules=$(go env GOMODCACHE) unshare --mount bash -euc '
		mount --bind "$goroot" "$root/usr/local/go"
		mount --bind "$modules" "$root/root/go/pkg/mod"
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		mount --rbind /sys "$root/sys"
		mount -t tmpfs tmpfs "$root/run"
		exec chroot "$root" env -i HOME=/root PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			GOPROXY="$1" sh -c "cd /src && $2"' bash "$(go env GOPROXY)" "$2"
}

# step says how a step of a suite went.
step() {
	local suite=$1 name=$2 start=$SECONDS
	shift 2
	if "$@" >"$roots/log" 2>&1; then
		echo "$suite: $name: ok in $((SECONDS - start)) s$(sed -n 's/^link: \([a-z]*\),.*/, linked \1/p' "$roots/log")"
	else
		echo "$suite: $name: FAIL"
		grep -vE '^ok|no test files' "$roots/log" | tail -n 20 | sed 's/^/    /'
		failed=1
		return 1
	fi
}

is_ubuntu() { [[ " jammy noble plucky questing resolute " = *" $1 "* ]]; }

# ubuntu_keys prints the file of Ubuntu's keys. Where this machine has none, it is taken out of
# Ubuntu's own package, if that is the one which is known here. No set -e: see step.
ubuntu_keys() {
	local keys=usr/share/keyrings/ubuntu-archive-keyring.gpg deb=$roots/keyring.deb
	if [ -e "/$keys" ]; then
		echo "/$keys"
		return
	fi
	[ -e "$roots/$keys" ] ||
		curl -fsS -o "$deb" "$ubuntu/pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb" &&
		echo "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8  $deb" | sha256sum --check >&2 &&
		dpkg-deb -x "$deb" "$roots" &&
		echo "$roots/$keys"
}

# make_root has mmdebstrap make a root, with the settings of this machine's apt that say
# how old a list may be, and puts what git clones into it.
make_root() {
	local root=$roots/$1 from=$mirror valid keys options=()
	if is_ubuntu "$1"; then
		keys=$(ubuntu_keys) || return
		from=$ubuntu options=(--components=main,universe --keyring="$keys")
	fi
	valid=$(apt-config shell v Acquire::Check-Valid-Until | sed "s/^v='\(.*\)'/\1/")
	mmdebstrap --variant=apt --include=ca-certificates --aptopt="Acquire::Check-Valid-Until \"${valid:-true}\"" "${options[@]}" "$1" "$root" "$from" &&
		mkdir -p "$root/usr/local/go" "$root/root/go/pkg/mod" &&
		cp /etc/resolv.conf "$root/etc/" &&
		git clone -q . "$root/src"
}

failed=
for suite in "$@"; do
	step "$suite" root make_root "$suite" &&
		step "$suite" deps inside "$roots/$suite" test/deps.sh &&
		step "$suite" build inside "$roots/$suite" 'make -s build' &&
		if is_ubuntu "$suite"; then
			step "$suite" start inside "$roots/$suite" 'build/xdpmux --version'
		else
			step "$suite" demo inside "$roots/$suite" 'make -s demo'
		fi || true
	[ ! -e "$roots/$suite/src/build/xdpmux" ] || step "$suite" test-unit inside "$roots/$suite" 'make -s test-unit' || true
	rm -rf --one-file-system "${roots:?}/$suite"
done
[ -z "$failed" ]
