#!/bin/sh
# manifest.sh [HOST]: prints the manifest to serve on HOST, by default what host.sh prints: on Spin 4.1
# or later, spin-wasi03.toml, whose components are faster there, unless a source is newer; else
# spin.toml, which all hosts run. LUOYUN_MANIFEST decides.
set -eu
cd "$(dirname "$0")/.."
[ -z "${LUOYUN_MANIFEST:-}" ] || { echo "$LUOYUN_MANIFEST" && exit; }
case ${1:-$(scripts/host.sh)} in
'spin 4.'[1-9]*) ;;
*) echo spin.toml && exit ;;
esac
sources='.cargo spin.toml Cargo.toml Cargo.lock migrations api'
# shellcheck disable=SC2086 # a list of names
if stale=$(find -H $sources -type f -newer spin-wasi03.toml 2>&1 | head -n 1) && [ -z "$stale" ]; then
    echo spin-wasi03.toml
else
    echo "Using the components for WASI 0.2: make build has not run since a change ($stale)." >&2
    echo spin.toml
fi
