#!/bin/sh
# Prints the host to serve with: `spin VERSION` if PATH has a Spin that this application is known
# to run on, 3.5 or later and before 5, else `devhost`, and then says why on standard error.
# LUOYUN_HOST=spin or LUOYUN_HOST=devhost decides.
set -eu

program=$(command -v spin) || program=
# Debian has another program of this name, a model checker.
says=$([ -z "$program" ] || timeout -k 1 10 "$program" --version 2>&1 </dev/null) || says=
version=$(printf '%s\n' "$says" | sed -n '/^spin \([0-9]*\.[0-9]*\)\..*/{s//\1/p;q;}')
case ${LUOYUN_HOST:-},$program,$version in
devhost,*) echo devhost && exit ;;
spin,* | ,*,3.[5-9] | ,*,3.[1-9][0-9] | ,*,4.*) echo "spin $version" && exit ;;
,,*) reason="there is no spin on PATH." ;;
,*,) reason="$program is not Spin, but says \"$(printf %s "$says" | head -n 1)\"." ;;
,*) reason="$program is version $version, and not 3.5 to 4. LUOYUN_HOST=spin uses it all the same." ;;
*) echo "LUOYUN_HOST is spin or devhost, not $LUOYUN_HOST" >&2 && exit 1 ;;
esac
echo "Using tests/devhost, not Spin: $reason" >&2
echo devhost
