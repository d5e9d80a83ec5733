#!/bin/sh
# Asks whether the token on standard input is good, as a service that may ask.
# usage: ask.sh SUBJECT@REALM GATEWAY_URL CALLER@REALM CALLER_SEED_FILE
set -eu
if sallyport verify "$1" --server "$2" --as "$3" --seed-file "$4" >/dev/null; then
  echo "$1 is who it says it is"
else
  echo "$1: not good, or the gateway did not answer" >&2
  exit 1
fi
