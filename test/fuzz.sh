#!/bin/bash
# Runs every fuzz target of the repository with as many inputs as given, one after the other.
set -euo pipefail
cd "$(dirname "$0")/.."
count=${1:?how many inputs each target gets, such as 50000x}
go=${GO:-go}
targets=0
while read -r package; do
	for target in $("$go" test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "$package $target"
		"$go" test -run '^$' -fuzz "^$target\$" -fuzztime "$count" -fuzzminimizetime 1000x "$package"
		targets=$((targets + 1))
	done
done < <(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -r -n1 dirname | sort -u)
[ "$targets" -gt 0 ] || { echo "no fuzz target found" >&2; exit 1; }
echo "$targets targets fuzzed with $count inputs each"
