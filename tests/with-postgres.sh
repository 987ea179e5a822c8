#!/bin/sh
# with-postgres.sh COMMAND...: runs a command against a new PostgreSQL server in a temporary
# folder. PGHOST, PGPORT and PGUSER name the server, and PATH has its programs. PG_FOLDER is the
# folder: it has the Unix socket, the server's certificate server.pem (for 127.0.0.1) and the CA
# certificate authority.pem, and others (see below). The role `secretive` has to give its password, "pass:word\".
set -eu
cd "$(dirname "$0")/.."
# Debian installs the server's programs outside PATH.
programs() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1; }
scripts/need.sh 'postgresql openssl' sh -c 'ls /usr/lib/postgresql/*/bin/initdb && openssl version'

folder=$(mktemp -d)
# PostgreSQL does not run as root.
unprivileged() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    chown postgres "$folder"
    unprivileged() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
fi
chmod 755 "$folder"
stop() {
    unprivileged "$(programs)/pg_ctl" stop --pgdata "$folder/data" --mode immediate --silent || true
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' INT TERM

cd "$folder"
unprivileged "$(programs)/initdb" --pgdata data --username luoyun --auth trust --no-sync \
    --encoding UTF8 --locale C >initdb.log 2>&1 || { cat initdb.log >&2; exit 1; }
certificate() { unprivileged openssl req -x509 -newkey rsa:2048 -nodes -days 2 "$@" 2>/dev/null; }
certificate -subj /CN=authority -keyout authority.key -out authority.pem
certificate -CA authority.pem -CAkey authority.key -subj /CN=server \
    -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE \
    -keyout data/server.key -out data/server.crt
cp data/server.crt server.pem
# Other certificates for the key of the server: for another name, expired, of X.509 version 1.
unprivileged sh -e 2>/dev/null <<'END'
sign() { openssl x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial "$@"; }
openssl req -new -key data/server.key -subj /CN=server -out server.csr
sign -out old.pem
printf 'subjectAltName=DNS:db.example\n' >names
sign -out elsewhere.pem -extfile names
printf '[ca]\ndatabase=index\ndefault_md=sha256\nrand_serial=yes\n[any]\n' >ca.cnf
touch index
openssl ca -batch -notext -config ca.cnf -name ca -policy any -cert authority.pem \
    -keyfile authority.key -in server.csr -out expired.pem -outdir . \
    -startdate 20200101000000Z -enddate 20200102000000Z -subj /CN=server -extfile names
openssl x509 -in authority.pem -outform der -out authority.der
END
certificate -subj /CN=other -keyout other.key -out other.pem
cat >data/pg_hba.conf <<'END'
local all all trust
host all secretive 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
END

# Another program may take a free port before PostgreSQL does, so this tries several.
port=$((20000 + $$ % 20000))
tries=20
until unprivileged "$(programs)/pg_ctl" start --pgdata data --wait --silent --log server.log \
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
