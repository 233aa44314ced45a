#!/usr/bin/env bash
# Runs every fuzz target, one after the other: for a given time each, or, as
# "smoke", for as long as makes three minutes together.
set -euo pipefail
cd "$(dirname "$0")/.."

targets=$(grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' internal cmd | sed -E 's|/[^/]*:func | |' | sort -u)
count=$(wc -l <<<"$targets")
[ -n "$targets" ] || { echo "no fuzz targets found" >&2; exit 1; }

each=${1:-2m}
if [ "$each" = smoke ]; then
	each=$((180 / count))
	[ "$each" -ge 2 ] || each=2
	each=${each}s
fi
echo "$count fuzz targets, $each each"
while read -r dir name; do
	echo "--- $dir $name"
	go test "./$dir" -run '^$' -fuzz "^$name\$" -fuzztime "$each" | grep -vE '^(fuzz: elapsed|PASS)' || { [ "${PIPESTATUS[0]}" -eq 0 ] || exit 1; }
done <<<"$targets"
