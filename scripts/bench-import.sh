#!/usr/bin/env bash
# Measures `sallyport user import`: users per second through the admin socket of
# a running server, and in one process.
#   USERS=100000 scripts/bench-import.sh
set -euo pipefail
cd "$(dirname "$0")/.."
users=${USERS:-100000}
work=$(mktemp -d)
server=
stop() { [ -z "$server" ] || { kill "$server" && wait "$server" || true; }; rm -rf "$work"; }
trap stop EXIT
CGO_ENABLED=0 go build -trimpath -o "$work/sallyport" ./standalone

# Hashes of nobody's password: what costs is storing them.
awk -v n="$users" 'BEGIN { for (i = 1; i <= n; i++) printf "{\"name\":\"user%d\",\"email\":\"user%d@example.com\",\"full_name\":\"User Number %d\",\"groups\":[\"staff\",\"team%d\"],\"password_hash\":\"pbkdf2_sha256$12000$seasalt%08d$VNdX9QXABUN0yU2u964icF4sZX2GWdz+A55919AY2uM=\"}\n", i, i, i, i % 50, i }' >"$work/users.jsonl"

measure() { # WHAT STATE
  local begin end
  begin=$(date +%s.%N)
  "$work/sallyport" --state "$2" user import --format jsonl --json "$work/users.jsonl" >"$work/report.json" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
  end=$(date +%s.%N)
  grep -q "\"created\": $users," "$work/report.json" || { echo "not all were created:" >&2; cat "$work/report.json" >&2; exit 1; }
  awk -v n="$users" -v s="$begin" -v e="$end" -v what="$1" 'BEGIN { printf "import %-16s %d users in %.1f s, %.0f a second\n", what, n, e - s, n / (e - s) }'
}

measure "in process:" "$work/alone"
"$work/sallyport" --state "$work/served" serve --listen 127.0.0.1:0 >"$work/serve.log" 2>&1 & server=$!
for _ in $(seq 100); do [ -S "$work/served/admin.sock" ] && break; sleep 0.1; done
measure "into a server:" "$work/served"
begin=$(date +%s.%N)
"$work/sallyport" --state "$work/served" user export --with-hashes "$work/out.jsonl" 2>>"$work/log"
end=$(date +%s.%N)
awk -v n="$(wc -l <"$work/out.jsonl")" -v s="$begin" -v e="$end" 'BEGIN { printf "export %-16s %d users in %.1f s\n", "from a server:", n, e - s }'
