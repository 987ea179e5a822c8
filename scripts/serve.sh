#!/bin/sh
# Serves the API, on the host that host.sh selects. LISTEN, STATE_DIR and DEMO come from the Makefile.
set -eu
cd "$(dirname "$0")/.."

: "${LISTEN:=127.0.0.1:3000}" "${STATE_DIR:=.spin}" "${DEMO:=1}"
host=$(scripts/host.sh)
# The components for WASI 0.2 are built.
case $host,${LUOYUN_MANIFEST:-} in
spin\ 4.[1-9]*, | *wasi03*) make --no-print-directory build ;;
esac
[ "$host" != devhost ] || cargo build --locked -p devhost
manifest=$(scripts/manifest.sh "$host")

# Spin ends when it has no descriptor for a connection.
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true

answers() { curl --disable --noproxy '*' --max-time 5 --silent --output /dev/null "http://$LISTEN/"; }
if answers; then
    echo "Something serves http://$LISTEN already. Choose another address: make up LISTEN=127.0.0.1:3001" >&2
    exit 1
fi

scripts/state-folder.sh "$STATE_DIR"
set -- --from "$manifest" --listen "$LISTEN" --state-dir "$STATE_DIR"
user=NAME password=PASSWORD
if [ "$DEMO" != 0 ]; then
    # The first login would create the tables, but the sample data come before it.
    files=demo
    [ -s "$STATE_DIR/sqlite_db.db" ] || files='local 0001_cloud 0002_logins demo'
    for file in $files; do set -- "$@" --sqlite "@migrations/$file.sql"; done
    user=luoyun password=luoyun
fi

case $host in devhost) set -- target/debug/devhost "$@" ;; *) set -- spin up "$@" ;; esac
"$@" &
server=$!
trap 'kill -TERM $server 2>/dev/null' INT TERM

until answers; do
    kill -0 $server 2>/dev/null || break
    sleep 0.1
done
if kill -0 $server 2>/dev/null; then
    echo
    echo "The API is at http://$LISTEN. Ctrl-C ends it. Try:"
    echo "  curl http://$LISTEN/api/login -d username=$user -d password=$password"
fi
# A signal interrupts the first wait; the second one waits until the server has exited.
wait $server || true
wait $server
