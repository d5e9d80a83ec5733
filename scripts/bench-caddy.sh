#!/usr/bin/env bash
# Measures what the guard costs inside Caddy: the same binary, the same route, with
# and without `sallyport`, in alternating rounds; the server pinned to one core, the
# load and the upstream on another. Raw figures go to bench/out.
#   ROUNDS=3 SECONDS_EACH=10 scripts/bench-caddy.sh
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${ROUNDS:-3} each=${SECONDS_EACH:-10}
out=bench/out
mkdir -p "$out"
server_core=0 load_core=$(( $(nproc) > 1 ? 1 : 0 ))
work=$(mktemp -d)
pids=()
stop() { [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"; }
trap stop EXIT
export XDG_DATA_HOME="$work/data" XDG_CONFIG_HOME="$work/config" SALLYPORT_STATE="$work/data/caddy/sallyport" SALLYPORT_CONFIG="$work/Caddyfile"

site=127.0.0.1
guard='sallyport {'
for i in $(seq 19); do guard+=$'\n\t\trule {\n\t\t\thost other'$i$'.example.com\n\t\t\trealm users\n\t\t}'; done
guard+=$'\n\t\trule {\n\t\t\trealm users\n\t\t}\n\t}'
cat >"$work/Caddyfile" <<END
{
	admin off
	auto_https off
	persist_config off
	sallyport {
		storage badger $SALLYPORT_STATE
	}
}
http://$site:9493 {
	respond "hello"
}
http://$site:9494 {
	$guard
	respond "hello"
}
http://$site:9495 {
	reverse_proxy $site:9491
}
http://$site:9496 {
	$guard
	reverse_proxy $site:9491
}
END
go build -o "$work/bare" ./scripts/bare
(umask 077; head -c 18 /dev/urandom | base64 >"$work/password")
bin/caddy sallyport user add bench --password-stdin --totp --json <"$work/password" >"$work/user.json" 2>"$work/log"
sed -n 's/.*"otpauth_uri": *"\([^"]*\)".*/\1/p' "$work/user.json" | sed 's/\\u0026/\&/g' >"$work/seed"
taskset -c $load_core "$work/bare" $site:9491 & pids+=($!)
GOMAXPROCS=1 taskset -c $server_core bin/caddy run --config "$work/Caddyfile" --adapter caddyfile >>"$work/log" 2>&1 & pids+=($!)
server=${pids[-1]}
for _ in $(seq 100); do curl -sf -o /dev/null "http://$site:9494/sallyport/readyz" && break; sleep 0.1; done

api="http://$site:9494/sallyport/api/v1"
json=(-sS -H 'Content-Type: application/json' -H 'Sec-Fetch-Site: same-origin')
ephemeral=$(printf '{"name":"bench","password":"%s"}' "$(cat "$work/password")" | curl "${json[@]}" --data-binary @- "$api/login" | sed -n 's/.*"ephemeral_token": *"\([^"]*\)".*/\1/p')
printf '{"ephemeral_token":"%s","code":"%s"}' "$ephemeral" "$(bin/caddy sallyport token --seed-file "$work/seed")" |
  curl "${json[@]}" -D "$work/headers" -o /dev/null --data-binary @- "$api/login/code"
cookie=$(sed -n 's/^[Ss]et-[Cc]ookie: *\(sallyport_session=sps[^;]*\).*/\1/p' "$work/headers" | head -n1)
[ -n "$cookie" ] || { echo "no session cookie: the login of the benchmark failed" >&2; cat "$work/log" "$work/headers" >&2; exit 1; }

status() { curl -s -o /dev/null -w '%{http_code}' "$@"; }
expect() { local want=$1 name=$2; shift 2; local got; got=$(status "$@"); [ "$got" = "$want" ] || { echo "$name: $got instead of $want: nothing is measured" >&2; exit 1; }; }
load() { # load NAME ROUND PORT
  taskset -c $load_core wrk -t1 -c64 -d"${each}s" --latency -H "Cookie: $cookie" "http://$site:$3/" >"$out/caddy-$1.$2.txt"
  echo "$2 $1 $(awk '/Requests\/sec/{print $2}' "$out/caddy-$1.$2.txt") $(awk '$1=="99%"{print $2}' "$out/caddy-$1.$2.txt")" | tee -a "$out/caddy-rounds.txt"
}

echo "== Caddy, guarded beside unguarded: $rounds rounds of ${each} s, 64 connections"
: >"$out/caddy-rounds.txt"
for round in $(seq "$rounds"); do
  expect 200 "guarded respond" -H "Cookie: $cookie" "http://$site:9494/"
  expect 401 "guarded respond without cookie" "http://$site:9494/"
  expect 200 "guarded reverse_proxy" -H "Cookie: $cookie" "http://$site:9496/"
  expect 401 "guarded reverse_proxy without cookie" "http://$site:9496/"
  load respond "$round" 9493
  load respond-guarded "$round" 9494
  load reverse_proxy "$round" 9495
  load reverse_proxy-guarded "$round" 9496
done
median() { sort -n | awk '{v[NR]=$1} END {print (NR%2) ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2}'; }
ratio() { awk -v a="$1-guarded" -v b="$1" '$2==b{u[$1]=$3} $2==a{g[$1]=$3} END {for (i in g) print g[i]/u[i]}' "$out/caddy-rounds.txt" | median; }
cost() { awk -v a="$1-guarded" -v b="$1" '$2==b{u[$1]=$3} $2==a{g[$1]=$3} END {for (i in g) print 1e6/g[i]-1e6/u[i]}' "$out/caddy-rounds.txt" | median; }
{
  echo
  printf '%-34s %-10s %s\n' what target measured
  for kind in reverse_proxy:0.95 respond:0.85; do
    name=${kind%:*}
    printf '%-34s %-10s %s (%+.1f us a request)\n' "P4 Caddy $name guarded / not" ">= ${kind#*:}" "$(ratio "$name")" "$(cost "$name")"
  done
  printf '%-34s %-10s %s\n' "   respond, requests a second" "" "$(awk '$2=="respond"{print $3}' "$out/caddy-rounds.txt" | median)"
  printf '%-34s %-10s %s\n' "   RssAnon after, MiB" "" "$(awk '/RssAnon/{printf "%.0f", $2/1024}' /proc/"$server"/status)"
} | tee "$out/caddy-table.txt"
