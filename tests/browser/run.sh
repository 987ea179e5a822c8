#!/bin/sh
# run.sh SCRIPT...: runs node scripts against a devhost of their own, in the browser at
# $CHROMIUM. They find the server at $BASE_URL.
set -eu
cd "$(dirname "$0")/../.."

(cd tests/browser && { cmp -s package-lock.json node_modules/installed ||
    { npm ci --no-audit --no-fund --loglevel error && cp package-lock.json node_modules/installed; }; })

state=$(mktemp -d)
options="--listen 127.0.0.1:0 --state-dir $state --quiet --variable password_iterations=1"
for file in migrations/[0-9]*.sql migrations/demo.sql tests/browser/fixtures.sql; do
    options="$options --sqlite @$file"
done
# None of these has a space in it.
# shellcheck disable=SC2086
target/debug/devhost $options >"$state/output" &
server=$!
trap 'kill $server; rm -rf "$state"' EXIT
until BASE_URL=$(sed -n 's/^Serving //p' "$state/output") && [ -n "$BASE_URL" ]; do
    kill -0 $server || exit 1
    sleep 0.1
done
export BASE_URL CHROMIUM="${CHROMIUM:-$(command -v chromium || command -v chromium-browser)}"
node "$@"
