#!/usr/bin/env bash
# Runs every test with the race detector and prints one closing line.
# A skipped test is a failure: it did not show what it stands for.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=1
out=$(mktemp)
trap 'rm -f "$out"' EXIT
status=0
go tool -modfile=tools/go.mod gotestsum --format pkgname --jsonfile "$out" -- \
  -race -timeout 14m ./... || status=$?
count() { grep -c "\"Action\":\"$1\".*\"Test\":" "$out" || true; }
passed=$(count pass) failed=$(count fail) skipped=$(count skip)
if [ "$skipped" -gt 0 ]; then
  echo "skipped tests are failures:"
  grep '"Action":"skip".*"Test":' "$out" | sed 's/.*"Package":"\([^"]*\)","Test":"\([^"]*\)".*/  \1 \2/'
  status=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$passed" -gt 0 ] || { echo "no test ran"; status=1; }
exit "$status"
