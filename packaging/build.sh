#!/bin/bash
# Builds .deb and .rpm into build/packages, for each architecture, of what make install installs,
# and beside them the bill of materials that is in them too. What comes out depends on the
# commit, the compilers and the libraries, not on where or when it is built.
#
#	packaging/build.sh VERSION RELEASE ARCHITECTURE...
set -euo pipefail
cd "$(dirname "$0")/.."
version=$1 release=$2
shift 2
maintainer=${MAINTAINER:-xdpmux <xdpmux@users.noreply.github.com>}
go=${GO:-go} out=build/packages
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
umask 022

# compile builds the commands, without the names of folders and without what git says of them.
compile() { # TARGET VARIABLES...
	make --no-print-directory GOFLAGS='-trimpath -buildvcs=false' LINK=static VERSION="$version" GOARCH="$arch" \
		BUILD="$out/$arch" NATIVE="$out/$native" PREFIX=/usr CONFDIR=/etc/xdpmux "$@"
}

document() {
	local doc=$root/usr/share/doc/xdpmux sysroot=/ licenses=$root/usr/share/licenses/xdpmux
	[ "$arch" = "$native" ] || sysroot=$(build/cross "$arch" sh -c 'echo "$PKG_CONFIG_SYSROOT_DIR"')
	mkdir -p "$doc" "$licenses"
	# The commands, with the symbols that they will be stripped of.
	license=$("$out/notices" -version "$version" -root "$sysroot" -epoch "$SOURCE_DATE_EPOCH" -copyright "$doc/copyright" \
		-sbom "$doc/sbom.cdx.json" "${programs[@]}")
	cp "$doc/sbom.cdx.json" "$out/xdpmux_$version-${release}_$arch.cdx.json"
	cp /usr/share/common-licenses/{Apache-2.0,GPL-2,GPL-3,LGPL-2.1,LGPL-3} "$licenses"
	gzip -9n >"$doc/changelog.Debian.gz" <<-END
		xdpmux ($version-$release) unstable; urgency=medium

		  * Version $version: https://github.com/xdpmux/xdpmux

		 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
	END
	install -D -m 0644 packaging/deb/lintian-overrides "$root/usr/share/lintian/overrides/xdpmux"
}

# scripts writes those of the packages, which name the units that make install has installed. A
# unit that runs once is not restarted: it would change what runs on interfaces.
scripts() {
	local unit daemons=() units=()
	for unit in "$root"/usr/lib/systemd/system/*; do
		units+=("${unit##*/}")
		grep -q '^Type=oneshot' "$unit" || daemons+=("${unit##*/}")
	done
	for script in packaging/deb/{postinst,prerm,postrm} packaging/rpm/{post,preun,postun}; do
		sed -e "s|@UNITS@|${units[*]}|" -e "s|@DAEMONS@|${daemons[*]}|" "$script" >"$work/$(basename "$script")"
	done
}

# configuration adds each file to what nfpm shall do, and the directories that are ours.
configuration() {
	sed -e "s|@VERSION@|$version|" -e "s|@RELEASE@|$release|" -e "s|@ARCH@|$arch|" -e "s|@MAINTAINER@|$maintainer|" -e "s|@LICENSE@|$license|" \
		-e "s|@WORK@|$work|" packaging/nfpm.yaml
	(cd "$root" && find . -type d -path '*/xdpmux*' -printf '  - {dst: /%P, type: dir, file_info: {mode: 0755}}\n' && find . -type f -printf '%P\n') | sort |
		while read -r file; do
			entry="  - {src: $root/$file, dst: /$file"
			case $file in
			*/licenses/*', type: dir'*) echo "  ${file%\}}, packager: rpm}" ;;
			-*) echo "  $file" ;;
			usr/share/lintian/* | */changelog.Debian.gz) echo "$entry, packager: deb}" ;;
			usr/share/licenses/*) echo "$entry, packager: rpm, type: license}" ;;
			usr/share/doc/* | usr/share/man/*) echo "$entry, packager: deb}" && echo "$entry, packager: rpm, type: doc}" ;;
			*) echo "$entry}" ;;
			esac
		done
}

native=$($go env GOHOSTARCH)
mkdir -p "$out"
$go build -C packaging/tools -o "$PWD/$out/notices" ./notices
# The native commands come first: they write the man page.
for arch in $native "$@"; do
	[ "$arch" != "$native" ] || [ ! "${native_done-}" ] || continue
	root=$out/$arch/root work=$out/$arch
	compile installed
	[ "$arch" != "$native" ] || native_done=yes
	case " $* " in *" $arch "*) ;; *) continue ;; esac
	rm -rf "$root"
	compile install DESTDIR="$PWD/$root" >/dev/null
	mapfile -t programs < <(find "$root" -type f -perm -u+x | sort)
	document
	# Each linker's output by its own tool: llvm-strip refuses what GNU ld has linked statically.
	if [ "$arch" = "$native" ]; then strip -R .comment "${programs[@]}"; else llvm-strip "${programs[@]}"; fi
	llvm-strip -g "$root"/usr/lib/xdpmux/bpf/*.o # BTF stays
	gzip -9n "$root"/usr/share/man/man*/*
	scripts
	find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	configuration >"$work/nfpm.yaml"
	for packager in deb rpm; do
		$go tool -modfile=packaging/tools/go.mod nfpm package -f "$work/nfpm.yaml" -p $packager -t "$out/" >/dev/null
	done
done
(cd "$out" && sha256sum -- *[_-]"$version-$release"[_.]*)
