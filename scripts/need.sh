#!/bin/sh
# need.sh PACKAGE COMMAND...: makes sure that a command succeeds on this machine, by
# the Debian package that it needs.
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
echo "This machine lacks what the tests need. On Debian and Ubuntu: sudo apt-get install $package" >&2
exit 1
