#!/usr/bin/env bash
# Measures what docs/performance.md speaks of. Everything runs on this machine,
# on loopback: the server pinned to one core, the load on another, rounds
# alternating, medians, and each figure as a ratio to the bare handler of the
# same round. Raw figures go to bench/out.
#   ROUNDS=3 SECONDS_EACH=10 scripts/bench.sh
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${ROUNDS:-3} each=${SECONDS_EACH:-10}
out=bench/out
mkdir -p "$out"
for program in wrk curl taskset; do
  command -v $program >/dev/null || { echo "missing: $program" >&2; exit 1; }
done
server_core=0 load_core=$(( $(nproc) > 1 ? 1 : 0 ))

echo "== guard.Check and the store (Go benchmarks)"
go test -run '^$' -bench 'Check' -benchmem -benchtime 1s ./internal/guard | tee "$out/guard.txt" | grep -E '^(Benchmark|ok|FAIL)'
go test -run '^$' -bench 'Live' -benchmem -benchtime 1s ./internal/session | tee "$out/session.txt" | grep -E '^(Benchmark|ok|FAIL)'
go test -run '^$' -bench 'Commit' -benchtime 2s ./internal/store/badger | tee "$out/store.txt" | grep -E '^(Benchmark|ok|FAIL)'
go test -run '^$' -bench '64Writers' -benchtime 2s ./internal/store/postgres | tee "$out/postgres.txt" | grep -E '^(Benchmark|ok|FAIL)'

work=$(mktemp -d)
pids=()
stop() { [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"; }
trap stop EXIT
export SALLYPORT_STATE="$work/state"

bare=127.0.0.1:9391 gate=127.0.0.1:9392 host=app.example.com
go build -o "$work/bare" ./scripts/bare
cat >"$work/gateway.yaml" <<YAML
listen: $gate
portal: http://auth.example.com
cookie_domain: example.com
rules:
$(for i in $(seq 19); do echo "  - {hosts: [other$i.example.com], realms: [users], factors: 2}"; done)
  - {hosts: ["*.example.com"], realms: [users], factors: 2}
YAML
export SALLYPORT_CONFIG="$work/gateway.yaml"
(umask 077; head -c 18 /dev/urandom | base64 >"$work/password")
bin/sallyport user add bench --password-stdin --totp --json <"$work/password" >"$work/user.json" 2>"$work/log"
sed -n 's/.*"otpauth_uri": *"\([^"]*\)".*/\1/p' "$work/user.json" | sed 's/\\u0026/\&/g' >"$work/seed"

GOMAXPROCS=1 taskset -c $server_core "$work/bare" $bare & pids+=($!)
GOMAXPROCS=1 taskset -c $server_core bin/sallyport serve >>"$work/log" 2>&1 & pids+=($!)
gate_pid=${pids[-1]}
for _ in $(seq 100); do curl -sf -o /dev/null "http://$gate/sallyport/readyz" && break; sleep 0.1; done

api="http://$gate/sallyport/api/v1"
json=(-sS -H 'Content-Type: application/json' -H 'Host: auth.example.com' -H 'Sec-Fetch-Site: same-origin')
ephemeral=$(printf '{"name":"bench","password":"%s"}' "$(cat "$work/password")" | curl "${json[@]}" --data-binary @- "$api/login" | sed -n 's/.*"ephemeral_token": *"\([^"]*\)".*/\1/p')
printf '{"ephemeral_token":"%s","code":"%s"}' "$ephemeral" "$(bin/sallyport token --seed-file "$work/seed")" |
  curl "${json[@]}" -D "$work/headers" -o /dev/null --data-binary @- "$api/login/code"
# On http the cookie domain's cookie has the name sallyport_session; the guard
# accepts it, and only it, on the guarded host.
cookie=$(sed -n 's/^[Ss]et-[Cc]ookie: *\(sallyport_session=[^;]*\).*Domain=.*/\1/p' "$work/headers" | head -n1)
[ -n "$cookie" ] || cookie=$(sed -n 's/^[Ss]et-[Cc]ookie: *\(sallyport_session=[^;]*\).*/\1/p' "$work/headers" | head -n1)
[ -n "$cookie" ] || { echo "no session cookie: the login of the benchmark failed" >&2; cat "$work/log" "$work/headers" >&2; exit 1; }

forwarded=(-H 'X-Forwarded-Method: GET' -H 'X-Forwarded-Proto: http' -H "X-Forwarded-Host: $host" -H 'X-Forwarded-Uri: /' -H 'X-Forwarded-For: 203.0.113.7')
original=(-H "X-Original-URL: http://$host/" -H 'X-Original-Method: GET' -H 'X-Forwarded-For: 203.0.113.7')
fa="http://$gate/sallyport/authz/forward-auth" ar="http://$gate/sallyport/authz/auth-request"
status() { curl -s -o /dev/null -w '%{http_code}' "$@"; }
expect() { local want=$1 name=$2; shift 2; local got; got=$(status "$@"); [ "$got" = "$want" ] || { echo "$name: $got instead of $want: nothing is measured" >&2; exit 1; }; }
random="sallyport_session=sps_$(head -c 40 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n')"

load() { # load NAME ROUND wrk-arguments…: requests a second, p99
  local name=$1 round=$2; shift 2
  taskset -c $load_core wrk -t1 -c64 -d"${each}s" --latency "$@" >"$out/$name.$round.txt"
  local rps p99
  rps=$(awk '/Requests\/sec/{print $2}' "$out/$name.$round.txt")
  p99=$(awk '$1=="99%"{print $2}' "$out/$name.$round.txt")
  echo "$round $name $rps $p99" | tee -a "$out/rounds.txt"
}

echo "== forward-auth beside a bare handler: $rounds rounds of ${each} s, 64 connections"
: >"$out/rounds.txt"
for round in $(seq "$rounds"); do
  expect 200 forward-auth "${forwarded[@]}" -H "Cookie: $cookie" "$fa"
  expect 401 "forward-auth without cookie" "${forwarded[@]}" "$fa"
  expect 200 auth-request "${original[@]}" -H "Cookie: $cookie" "$ar"
  expect 401 "auth-request with a random cookie" "${original[@]}" -H "Cookie: $random" "$ar"
  load bare "$round" "http://$bare/"
  load forward-auth "$round" "${forwarded[@]}" -H "Cookie: $cookie" "$fa"
  load auth-request "$round" "${original[@]}" -H "Cookie: $cookie" "$ar"
  load challenge "$round" "${forwarded[@]}" "$fa"
  load random-cookie "$round" "${forwarded[@]}" -H "Cookie: $random" "$fa"
done

median() { sort -n | awk '{v[NR]=$1} END {print (NR%2) ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2}'; }
ratio() { awk -v n="$1" '$2=="bare"{b[$1]=$3} $2==n{r[$1]=$3} END {for (i in r) print r[i]/b[i]}' "$out/rounds.txt" | median; }
rss=$(awk '/RssAnon/{printf "%.0f", $2/1024}' /proc/"$gate_pid"/status)
{
  echo
  printf '%-28s %-28s %s\n' what target measured
  printf '%-28s %-28s %s\n' "P2 forward-auth / bare" ">= 0.72" "$(ratio forward-auth)"
  printf '%-28s %-28s %s\n' "P2 auth-request / bare" ">= 0.72" "$(ratio auth-request)"
  printf '%-28s %-28s %s\n' "P5 challenge / bare" ">= 0.70" "$(ratio challenge)"
  printf '%-28s %-28s %s\n' "P5 random cookie / bare" ">= 0.70" "$(ratio random-cookie)"
  printf '%-28s %-28s %s\n' "   bare, requests a second" "" "$(awk '$2=="bare"{print $3}' "$out/rounds.txt" | median)"
  printf '%-28s %-28s %s\n' "   RssAnon after, MiB" "" "$rss"
  printf '%-28s %-28s %s\n' "P11 binary, MiB" "<= 30" "$(( $(stat -c %s bin/sallyport) / 1048576 ))"
  echo
  grep -hE '^Benchmark' "$out"/{guard,session,store}.txt
} | tee "$out/table.txt"
