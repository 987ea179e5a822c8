#!/bin/sh
# Prints the manifest to serve: on Spin 4.1 or later, target/spin-wasi03.toml, whose components are
# faster there, else spin.toml, which all hosts run. LUOYUN_MANIFEST decides.
set -eu
[ -z "${LUOYUN_MANIFEST:-}" ] || { echo "$LUOYUN_MANIFEST" && exit; }
host=$("$(dirname "$0")/host.sh")
case $host,$(timeout 10 spin --version 2>&1 </dev/null) in
'spin,spin 3.'* | 'spin,spin 4.0.'* | devhost,*) echo spin.toml && exit ;;
esac
echo 'Spin 4.1 or later: using the components for WASI 0.3.' >&2
echo target/spin-wasi03.toml
