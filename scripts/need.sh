#!/bin/sh
# need.sh COMMAND PACKAGE: makes sure that this machine has a command, by the Debian
# package that has it.
set -eu
command -v "$1" >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing the package $2, for $1"
    apt-get -qq update && apt-get -qq install -y --no-install-recommends "$2" >/dev/null
    exit
fi
echo "The tests need $1. On Debian and Ubuntu: sudo apt-get install $2" >&2
exit 1
