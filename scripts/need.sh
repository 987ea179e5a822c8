#!/bin/sh
# need.sh PACKAGES COMMAND...: makes sure that a command succeeds on this machine. If it fails,
# installs the Debian packages that it needs (one argument); without root rights, says how to.
set -eu
packages=$1
shift
"$@" >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing $packages"
    # shellcheck disable=SC2086 # a list of names
    apt-get -qq update && apt-get -qq install -y --no-install-recommends $packages >/dev/null
    "$@" >/dev/null
    exit
fi
echo "The tests need packages that are missing. On Debian and Ubuntu: sudo apt-get install $packages" >&2
exit 1
