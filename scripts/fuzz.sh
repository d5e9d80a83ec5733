#!/usr/bin/env bash
# Fuzzes every fuzz target of the tree for a while each: fuzz.sh [DURATION]
set -euo pipefail
cd "$(dirname "$0")/.."
grep -RoHE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' internal standalone caddymodule | sed 's/:func / /' | sort |
while read -r file target; do
  echo "== $target ($(dirname "$file"))"
  go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-20s}" "./$(dirname "$file")" </dev/null
done
