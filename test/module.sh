#!/bin/sh
# Builds examples/watch as a module of its own that requires this one: test/module.sh FILE
#
# It gets what a clone of this repository has, and nothing that make has built.
set -eu

mkdir -p "$(dirname "$1")"
out=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/xdpmux" "$tmp/watch"
git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C "$tmp/xdpmux"
mv "$tmp/xdpmux/examples/watch/main.go" "$tmp/xdpmux/go.sum" "$tmp/watch"
cd "$tmp/watch"
cat >go.mod <<EOF
module example.com/watch

go 1.24

require github.com/xdpmux/xdpmux v0.0.0

replace github.com/xdpmux/xdpmux => ../xdpmux
EOF
GOFLAGS=-mod=mod GOWORK=off ${GO:-go} build -o "$out" .
