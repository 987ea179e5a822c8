#!/bin/sh
# run.sh ARGUMENT...: runs node with these arguments, against the server at $BASE_URL, with the
# browsers at $CHROMIUM and $FIREFOX. The server must have the demo data and fixtures.sql.
set -eu
cd "$(dirname "$0")/../.."

(cd tests/browser && { cmp -s package-lock.json node_modules/installed ||
    { npm ci --no-audit --no-fund --loglevel error && cp package-lock.json node_modules/installed; }; })

export CHROMIUM="${CHROMIUM:-$(command -v chromium)}"
export FIREFOX="${FIREFOX:-$(command -v firefox-esr)}"
exec node "$@"
