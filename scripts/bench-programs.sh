#!/usr/bin/env bash
# Measures what programs ask of a gateway: provisioning calls and POST /verify with
# synced burns a second (P8 of docs/performance.md), by 64 clients, the server on
# one core and the load on another. SUBJECTS=20000 scripts/bench-programs.sh
set -euo pipefail
cd "$(dirname "$0")/.."
out=bench/out subjects=${SUBJECTS:-20000}
mkdir -p "$out"
server_core=0 load_core=$(( $(nproc) > 1 ? 1 : 0 ))
work=$(mktemp -d)
pid=
stop() { [ -z "$pid" ] || kill "$pid" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"; }
trap stop EXIT
address=127.0.0.1:9396
printf 'listen: %s\n' $address >"$work/gateway.yaml"
export SALLYPORT_STATE="$work/state" SALLYPORT_CONFIG="$work/gateway.yaml"
go build -o "$work/programs" ./scripts/programs
seed() { bin/sallyport service add "$1" --json 2>>"$work/log" | sed -n 's/.*"seed": *"\([A-Z2-7]*\)".*/\1/p'; }
(umask 077; seed boss@admin >"$work/boss.seed"; seed checker@auth >"$work/checker.seed"; seed first@robots >"$work/first.seed")
GOMAXPROCS=1 taskset -c $server_core bin/sallyport serve >>"$work/log" 2>&1 & pid=$!
for _ in $(seq 100); do curl -sf -o /dev/null "http://$address/sallyport/readyz" && break; sleep 0.1; done
echo "== programs: 64 clients, $subjects services and users, and three tokens of each service"
taskset -c $load_core "$work/programs" -server "http://$address" -subjects "$subjects" \
  -as boss@admin -seed-file "$work/boss.seed" -ask checker@auth -ask-seed-file "$work/checker.seed" >"$out/programs.txt" || { tail -n 5 "$work/log" >&2; exit 1; }
rate() { awk -v n="$1" '$1==n{print $2}' "$out/programs.txt"; }
{
  printf '%-28s %-28s %s\n' what target measured
  printf '%-28s %-28s %s\n' "P8 POST /verify a second" ">= 5000" "$(rate verify)"
  printf '%-28s %-28s %s\n' "   POST /services a second" "" "$(rate create-service)"
  printf '%-28s %-28s %s\n' "   POST /users a second" "" "$(rate create-user)"
} | tee "$out/programs-table.txt"
