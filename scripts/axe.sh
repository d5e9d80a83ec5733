#!/usr/bin/env bash
# Puts axe-core, the judge of the accessibility of our pages, where the tests
# look for it: .cache/axe/node_modules/axe-core/axe.min.js. It comes from npm in
# one version, is compared with its digest, and is never part of our tree.
set -euo pipefail
cd "$(dirname "$0")/.."
version=4.10.3
digest=880970c081707360e64f34cea25ff91892f5bc95675b0776925b9709dd8a68bb
file=.cache/axe/node_modules/axe-core/axe.min.js

good() { [ -f "$file" ] && [ "$(sha256sum "$file" | cut -d ' ' -f 1)" = "$digest" ]; }

good && exit 0
command -v npm >/dev/null || { echo "missing: npm (scripts/need.sh npm installs it on Debian)" >&2; exit 1; }
rm -rf .cache/axe
mkdir -p .cache/axe
npm install --no-save --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel=error \
  --prefix .cache/axe "axe-core@$version" >/dev/null
good || { rm -rf .cache/axe; echo "axe-core $version is not what it was: its digest differs from $digest" >&2; exit 1; }
