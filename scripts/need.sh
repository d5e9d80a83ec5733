#!/usr/bin/env bash
# Makes sure that Debian packages are there: need.sh PACKAGE…
# Installs with apt-get where it may (root, or sudo without a question);
# elsewhere it names what is missing and fails, because a test that is left out
# is not a test that passed.
set -euo pipefail

have() { # is the package, or what it brings, there?
  case $1 in
    zbar-tools) command -v zbarimg >/dev/null ;;
    nginx-light) [ -x /usr/sbin/nginx ] || command -v nginx >/dev/null ;;
    haproxy) [ -x /usr/sbin/haproxy ] || command -v haproxy >/dev/null ;;
    postgresql) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null ;;
    python3-requests) python3 -c 'import requests' 2>/dev/null ;;
    libc6-dev) [ -e /usr/include/stdio.h ] ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

missing=()
for package in "$@"; do
  have "$package" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo=(sudo -n)
  else
    echo "missing: ${missing[*]}. Install them (Debian: apt-get install ${missing[*]}) and try again." >&2
    exit 1
  fi
fi
if ! command -v apt-get >/dev/null; then
  echo "missing: ${missing[*]} (Debian's names). Install them with your system's package manager and try again." >&2
  exit 1
fi
echo "installing: ${missing[*]}"
install() { "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }
"${sudo[@]}" apt-get update -qq
if [[ " ${missing[*]} " == *" postgresql "* ]]; then
  # Without the cluster that Debian would make, start, and start again at each boot:
  # tests start servers of their own. Afterwards the file is as it was.
  conf=/etc/postgresql-common/createcluster.conf
  install postgresql-common
  kept=$(mktemp)
  cp "$conf" "$kept"
  restore() {
    "${sudo[@]}" cp "$kept" "$conf" # into the file: owner and mode stay
    rm -f "$kept"
  }
  trap restore EXIT
  "${sudo[@]}" sed -ri '/^#? *create_main_cluster\b/d' "$conf"
  echo 'create_main_cluster = false' | "${sudo[@]}" tee -a "$conf" >/dev/null
fi
install "${missing[@]}"
