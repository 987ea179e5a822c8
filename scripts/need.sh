#!/bin/sh
# need.sh PACKAGE COMMAND...: makes sure that a command succeeds on this machine. If it fails,
# installs the Debian package that it needs; without root rights, says how to.
set -eu
package=$1
shift
"$@" >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing the package $package"
    apt-get -qq update && apt-get -qq install -y --no-install-recommends "$package" >/dev/null
    "$@" >/dev/null
    exit
fi
echo "A package that the tests need is missing. On Debian and Ubuntu: sudo apt-get install $package" >&2
exit 1
