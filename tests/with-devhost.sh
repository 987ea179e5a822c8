#!/bin/sh
# with-devhost.sh COMMAND...: runs a command against a new devhost with a temporary state folder,
# the demo data and the SQL file $EXTRA_SQL. BASE_URL is the server's URL.
set -eu
cd "$(dirname "$0")/.."

state=$(mktemp -d)
server= command=
stop() {
    kill $command $server 2>/dev/null || true
    wait
    rm -rf "$state"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM
cat migrations/local.sql migrations/[0-9]*.sql migrations/demo.sql ${EXTRA_SQL:-} >"$state/setup.sql"
target/debug/devhost --listen 127.0.0.1:0 --state-dir "$state" --sqlite "@$state/setup.sql" \
    --variable password_memory_kib=8 --variable password_passes=1 \
    --variable login_address_failures=1000000 >"$state/output" 2>&1 &
server=$!
until BASE_URL=$(sed -n 's/^Serving //p' "$state/output") && [ -n "$BASE_URL" ]; do
    kill -0 $server || { cat "$state/output" >&2; exit 1; }
    sleep 0.1
done
export BASE_URL
# In the background, so that a signal ends both at once.
"$@" &
command=$!
wait $command || { status=$?; echo "The server's output:"; tail -n 50 "$state/output"; exit $status; } >&2
