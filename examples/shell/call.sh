#!/bin/sh
# Calls a guarded URL as a service.
# usage: call.sh NAME@REALM SEED_FILE URL [curl's own options]
set -eu
name=$1 seed=$2 url=$3
shift 3
token=$(sallyport token --seed-file "$seed")
# By standard input: arguments are there for every process of the machine to read.
printf 'user = "%s:%s"\n' "$name" "$token" | curl --silent --show-error --fail --config - "$@" "$url"
