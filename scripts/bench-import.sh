#!/usr/bin/env bash
# Measures `sallyport user import`: in one process, and through the admin socket of
# a running server. And fails unless a dry run says before what the import does, and
# people log in afterwards with the passwords that they had.
#   USERS=100000 scripts/bench-import.sh
set -euo pipefail
cd "$(dirname "$0")/.."
users=${USERS:-100000} target='<= 60 s'
address=127.0.0.1:9397
work=$(mktemp -d)
server=
stop() { [ -z "$server" ] || { kill "$server" && wait "$server" || true; }; rm -rf "$work"; }
trap stop EXIT
fail() { echo "bench-import: $1" >&2; [ -z "${2:-}" ] || head -c 2000 "$2" >&2; exit 1; }
CGO_ENABLED=0 go build -trimpath -o "$work/sallyport" ./standalone

# Hashes of nobody's password: what costs is storing them. Every thousandth is that of
# a password that is known here. Three at the end are refused.
password='quiet otters paddle upriver'
awk -v n="$users" 'BEGIN {
  for (i = 1; i <= n; i++) {
    hash = i % 1000 == 1 ? "seasalted$zWv46vhBXFd0fvxtBLpIi7HhY/G84TXHKrgIx0j0qnA=" : sprintf("seasalt%08d$VNdX9QXABUN0yU2u964icF4sZX2GWdz+A55919AY2uM=", i)
    printf "{\"name\":\"user%d\",\"email\":\"user%d@example.com\",\"full_name\":\"User Number %d\",\"groups\":[\"staff\",\"team%d\"],\"password_hash\":\"pbkdf2_sha256$12000$%s\"}\n", i, i, i, i % 50, hash
  }
  print "{\"name\":\"user1\"}\n{\"name\":\"other\",\"email\":\"user1@example.com\"}\n{\"name\":\"a b\"}"
}' >"$work/users.jsonl"

run() { # REPORT STATE FLAGS...; who is refused makes it exit 1, and the counts tell whether all is well
  local report=$1 state=$2
  shift 2
  "$work/sallyport" --state "$state" user import --format jsonl --json "$@" "$work/users.jsonl" >"$report" 2>"$work/log" || [ $? = 1 ]
  grep -q "\"created\": $users,$" "$report" && grep -q '"refused": 3,$' "$report" || { cat "$work/log" >&2; fail "not all were created, or not three refused:" "$report"; }
}

row() { printf '%-28s %-12s %s\n' "$@"; }

measure() { # WHAT STATE
  local begin end
  begin=$(date +%s.%N)
  run "$work/report.json" "$2"
  end=$(date +%s.%N)
  row "$1" "$target" "$(awk -v n="$users" -v s="$begin" -v e="$end" 'BEGIN { printf "%.1f s, %.0f a second", e - s, n / (e - s) }')"
}

login() { # NAME PASSWORD: the status
  curl -s -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' -d "{\"name\":\"$1\",\"password\":\"$2\"}" "http://$address/sallyport/api/v1/login"
}

echo "== imports: $users users with their hashes"
row what target measured
measure "in process" "$work/alone"
"$work/sallyport" --state "$work/served" serve --listen $address >"$work/serve.log" 2>&1 & server=$!
for _ in $(seq 100); do curl -sf -o /dev/null "http://$address/sallyport/readyz" && break; sleep 0.1; done
run "$work/dry.json" "$work/served" --dry-run
measure "into a server" "$work/served"
sed -i 's/"dry_run": true/"dry_run": false/' "$work/dry.json"
diff "$work/dry.json" "$work/report.json" >"$work/diff" || fail "the dry run said something else than the import did:" "$work/diff"
for i in 1 $(( (users - 1) / 2000 * 1000 + 1 )) $(( (users - 1) / 1000 * 1000 + 1 )); do
  [ "$(login "user$i" "$password")" = 200 ] || fail "user$i cannot log in with the password that they had" "$work/serve.log"
  [ "$(login "user$i" "not $password")" = 401 ] || fail "user$i can log in with another password" "$work/serve.log"
done
begin=$(date +%s.%N)
"$work/sallyport" --state "$work/served" user export --with-hashes "$work/out.jsonl" 2>>"$work/log"
end=$(date +%s.%N)
[ "$(wc -l <"$work/out.jsonl")" -ge "$users" ] || fail "not all were exported" "$work/log"
row "export from a server" "" "$(awk -v s="$begin" -v e="$end" 'BEGIN { printf "%.1f s", e - s }')"
