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

out=$(mktemp)
trap 'rm -f "$out"' EXIT
while read -r dir name; do
	echo "--- $dir $name"
	status=0
	go test "./$dir" -run '^$' -fuzz "^$name\$" -fuzztime "$each" >"$out" 2>&1 || status=$?
	grep -vE '^(fuzz: elapsed|PASS)' "$out" || true
	[ "$status" -ne 0 ] || continue
	# On a busy machine the go command sometimes reports the end of -fuzztime
	# itself as a failure of the target. A real one always names its input.
	if grep -q '^    context deadline exceeded$' "$out" && ! grep -qE 'Failing input|panic:|testdata/fuzz|_test\.go:' "$out"; then
		echo "    time was up while an input ran; no failing input"
		continue
	fi
	exit 1
done <<<"$targets"
