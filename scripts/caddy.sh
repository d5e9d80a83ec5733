#!/usr/bin/env bash
# Builds Caddy with this checkout's module: caddy.sh OUTPUT. What is built stands
# in xcaddy.json; xcaddy itself is pinned in tools/go.mod.
set -euo pipefail
cd "$(dirname "$0")/.."
output=$1
builder=$(mktemp -d)
trap 'rm -rf "$builder"' EXIT
(cd tools && go build -o "$builder/buildcaddy" ./buildcaddy)
mkdir -p "$(dirname "$output")"
# xcaddy asks for this module by name before the replacement on this disk is found.
# Some proxies answer 403 instead of 404 for what is not published; only "|" goes on
# then, and "direct" would ask the repository, which may be out of reach.
proxy=$(go env GOPROXY | tr ',' '|' | sed -E 's/(^|\|)direct//g; s/^\|//')
GOPROXY="${proxy:-direct}|off" CGO_ENABLED=0 "$builder/buildcaddy" xcaddy.json "$output"
