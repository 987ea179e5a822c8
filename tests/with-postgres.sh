#!/bin/sh
# with-postgres.sh COMMAND...: runs a command against a PostgreSQL of its own, in a
# temporary folder. The command finds it in PGHOST, PGPORT and PGUSER, its programs on
# PATH, and that folder, with its Unix socket, its certificate server.pem (for 127.0.0.1),
# and that of its authority.pem, in PG_FOLDER. The role `secretive` needs its password,
# "pass:word\".
set -eu
cd "$(dirname "$0")/.."
# Debian puts them where no PATH looks.
programs() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1; }
scripts/need.sh postgresql sh -c 'ls /usr/lib/postgresql/*/bin/initdb'
scripts/need.sh openssl openssl version

folder=$(mktemp -d)
# PostgreSQL does not run as root.
as_somebody() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    chown postgres "$folder"
    as_somebody() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
fi
chmod 755 "$folder"
stop() {
    as_somebody "$(programs)/pg_ctl" stop --pgdata "$folder/data" --mode immediate --silent || true
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' INT TERM

cd "$folder"
as_somebody "$(programs)/initdb" --pgdata data --username luoyun --auth trust --no-sync \
    --encoding UTF8 --locale C >initdb.log 2>&1 || { cat initdb.log >&2; exit 1; }
certificate() { as_somebody openssl req -x509 -newkey rsa:2048 -nodes -days 2 "$@" 2>/dev/null; }
certificate -subj /CN=authority -keyout authority.key -out authority.pem
certificate -CA authority.pem -CAkey authority.key -subj /CN=server \
    -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE \
    -keyout data/server.key -out data/server.crt
cp data/server.crt server.pem
cat >data/pg_hba.conf <<'END'
local all all trust
host all secretive 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
END

# Of the ports that are free now, another program may take any.
port=$((20000 + $$ % 20000))
tries=20
until as_somebody "$(programs)/pg_ctl" start --pgdata data --wait --silent --log server.log \
    -o "-c listen_addresses=127.0.0.1 -c port=$port -c ssl=on -c fsync=off" \
    -o "-c unix_socket_directories=$folder" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || { cat server.log >&2; exit 1; }
    port=$((port + 1))
done

PATH=$(programs):$PATH
PGHOST=127.0.0.1 PGPORT=$port PGUSER=luoyun PG_FOLDER=$folder
export PATH PGHOST PGPORT PGUSER PG_FOLDER
psql --quiet postgres --command "CREATE ROLE secretive LOGIN SUPERUSER PASSWORD 'pass:word\\'"
cd "$OLDPWD"
"$@"
