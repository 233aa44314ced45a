#!/usr/bin/env bash
# Asks independent suites, and corpora of our own, and prints a line for each:
# how many cases there are, how many came out right, and which were not run and
# why. Fails if one comes out wrong. docs/conformance.md explains the numbers.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(mktemp)
trap 'rm -f "$out"' EXIT

# ask DIR ARGUMENTS... runs tests; if one fails, it shows them and gives up.
ask() {
	local dir=$1
	shift
	if ! (cd "$dir" && go test -count=1 -v "$@") >"$out" 2>&1; then
		grep -vE '^ *(=== |--- PASS)' "$out" >&2 || true
		exit 1
	fi
}

# told prints the lines in which tests say what they counted.
told() { grep -oE 'conformance: .*' "$out" | sed 's/^conformance: //'; }

# counted prints a line for a suite whose cases are subtests.
counted() {
	local name=$1 n
	shift
	ask "$@"
	n=$(grep -cE '^ +--- PASS' "$out" || true)
	[ "$n" -gt 0 ] || { echo "$name: nothing was run" >&2; exit 1; }
	echo "$name: cases $n, right $n, wrong 0, not run 0"
}

echo "== independent suites"
ask tools/conformance .
told
ask . -run '^TestLimbo$' ./internal/conformance
told
ask . -run '^TestPKITS$' ./internal/verify
told

echo "== our own corpora, written from the RFCs"
counted "CRL, judging" . -run '^TestCRL' ./internal/verify
counted "CRL, reading" . -run '^Test' ./internal/crl
counted "OCSP" . -run '^TestOCSP' ./internal/verify
