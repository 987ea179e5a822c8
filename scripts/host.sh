#!/bin/sh
# Prints the host to serve with: `spin` if PATH has a Spin that this application is known to run
# on, 3.5 or later and before 5, else `devhost`, and then says why on standard error.
# LUOYUN_HOST=spin or LUOYUN_HOST=devhost decides.
set -eu

devhost() {
    [ -z "$*" ] || echo "Using tests/devhost, not Spin: $*" >&2
    echo devhost
    exit
}
case ${LUOYUN_HOST:-} in
spin | devhost) echo "$LUOYUN_HOST" && exit ;;
?*) echo "LUOYUN_HOST is spin or devhost, not $LUOYUN_HOST" >&2 && exit 1 ;;
esac

program=$(command -v spin) || devhost "there is no spin on PATH."
# Debian has another program of this name, a model checker.
says=$(timeout 10 "$program" --version 2>&1 </dev/null | head -n 1) || says=
version=$(printf %s "$says" | sed -n 's/^spin \([0-9]*\.[0-9]*\)\..*/\1/p')
case $version in
3.[5-9] | 3.[1-9][0-9] | 4.*) echo spin ;;
'') devhost "$program is not Spin, but says \"$says\"." ;;
*) devhost "$program is version $version, and not 3.5 to 4. LUOYUN_HOST=spin uses it all the same." ;;
esac
