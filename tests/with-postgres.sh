#!/bin/sh
# with-postgres.sh COMMAND...: runs a command against a new PostgreSQL server in a temporary folder.
# PGHOST, PGPORT and PGUSER name the server, and PATH has its programs. PG_FOLDER is the folder: it
# has the Unix socket and the files of tests/it/import/connections.txt. The server's certificate is
# for 127.0.0.1. The role `secretive` has to give its password, "pass:word\", the role `certified` a
# certificate.
set -eu
cd "$(dirname "$0")/.."
scripts/need.sh 'postgresql openssl python3' sh -c \
    'ls /usr/lib/postgresql/*/bin/initdb && openssl version && python3 --version'
# Debian installs the server's programs outside PATH.
PATH=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1):$PATH

folder=$(mktemp -d)
# PostgreSQL does not run as root.
unprivileged() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    chown postgres "$folder"
    unprivileged() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
fi
chmod 755 "$folder"
stop() {
    unprivileged pg_ctl stop --pgdata "$folder/data" --mode immediate --silent || true
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' INT TERM

cd "$folder"
unprivileged initdb --pgdata data --username luoyun --auth trust --no-sync \
    --encoding UTF8 --locale C >initdb.log 2>&1 || { cat initdb.log >&2; exit 1; }
certificate() { openssl req -x509 -newkey rsa:2048 -nodes -days 2 "$@" 2>/dev/null; }
signed() { certificate -CA authority.pem -CAkey authority.key -addext basicConstraints=critical,CA:FALSE "$@"; }
certificate -subj /CN=authority -keyout authority.key -out authority.pem
signed -subj /CN=server -addext subjectAltName=IP:127.0.0.1 -keyout data/server.key -out data/server.crt
[ "$(id -u)" != 0 ] || chown postgres data/server.key
# Home folders: the first has a certificate for `certified`, the second takes the server's for revoked.
mkdir -p bin ending home/.postgresql revoking/.postgresql
signed -subj /CN=certified -keyout home/.postgresql/postgresql.key -out home/.postgresql/postgresql.crt
cp authority.pem home/.postgresql/root.crt
cp authority.pem revoking/.postgresql/root.crt
printf '[ca]\ndatabase=index\ndefault_md=sha256\ndefault_crl_days=2\n' >ca.cnf
touch index
authority() { openssl ca -config ca.cnf -name ca -cert authority.pem -keyfile authority.key "$@" 2>/dev/null; }
authority -revoke data/server.crt
authority -gencrl -out revoking/.postgresql/root.crl
printf '\377\n*:*:secret:secretive:pass\\:word\\\\\n' >pgpass
chmod 600 pgpass
ln -s "$(command -v setpriv)" bin/
ln -s /bin/false ending/psql
cat >data/pg_hba.conf <<'END'
local all all trust
host all secretive 127.0.0.1/32 scram-sha-256
hostssl all certified 127.0.0.1/32 cert
host all all 127.0.0.1/32 trust
END
printf "ssl = on\nssl_ca_file = '%s/authority.pem'\n" "$folder" >>data/postgresql.conf

port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
unprivileged pg_ctl start --pgdata data --wait --silent --log server.log \
    -o "-c listen_addresses=127.0.0.1 -c port=$port -c fsync=off" \
    -o "-c unix_socket_directories=$folder" >/dev/null || { cat server.log >&2; exit 1; }

PGHOST=127.0.0.1 PGPORT=$port PGUSER=luoyun PG_FOLDER=$folder
export PATH PGHOST PGPORT PGUSER PG_FOLDER
printf '[%s]\nhost=%s\nport=%s\nuser=luoyun\ndbname=secret\n%s\n' secret 127.0.0.1 "$port" sslmode=disable \
    localhost 127.1 "$port" '' >services
psql --quiet postgres --command "CREATE ROLE certified LOGIN SUPERUSER" \
    --command "CREATE ROLE secretive LOGIN SUPERUSER PASSWORD 'pass:word\\'"
cd "$OLDPWD"
"$@"
