#!/bin/bash
# Builds the packages of the last commit twice, in different folders, without anything that the
# first build has compiled for the second, and compares them.
#
#	test/packages/reproducible.sh amd64 arm64
set -euo pipefail
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'chmod -R u+w "$tmp" && rm -rf "$tmp"' EXIT
commit=$(git rev-parse HEAD) # also if there is another one before the second build
build() { # FOLDER
	git clone -q . "$tmp/$1"
	(cd "$tmp/$1" && git checkout -q "$commit" && make --no-print-directory -s packages ARCHS="$archs") | tee "$tmp/$(basename "$1").sums"
}
archs=$*
build first
(umask 077 && export GOCACHE="$tmp/cache" TZ=Asia/Tokyo LC_ALL=C.UTF-8 && build another/folder/second)
cmp "$tmp/first.sums" "$tmp/second.sums" || { echo "reproducible: the packages differ" >&2; exit 1; }
echo "reproducible: $(wc -l <"$tmp/first.sums") files are equal to the byte"
