#!/bin/sh
# Runs SQL from standard input on a libSQL server (Turso or sqld); prints the whole database as
# SQL; or creates a token for your own sqld, signed with the private key of its public key:
#
#   deploy/libsql.sh <migrations/0001_cloud.sql
#   deploy/libsql.sh dump >backup.sql
#   deploy/libsql.sh token sqld.pem
#
# LIBSQL_URL (http:// or https://) and LIBSQL_TOKEN select the server. If the SQL fails, has no
# statement, or leaves a transaction open, the exit code is not 0. The statements before the error
# then stay in effect, except those of an open transaction.
set -eu

usage() { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }

# curl reads the token from a file descriptor: all users of a machine can read arguments.
server() {
    : "${LIBSQL_URL:?must be the URL of the libSQL server, such as https://NAME.turso.io}"
    : "${LIBSQL_TOKEN:?must be a token for the libSQL server}"
    path=$1
    shift
    # A proxy would see the token if there is no TLS.
    case $LIBSQL_URL in http://*) set -- --noproxy '*' "$@" ;; esac
    curl --silent --show-error --fail --config /dev/fd/3 "$@" "${LIBSQL_URL%/}/$path" 3<<END
header = "Authorization: Bearer $(printf %s "$LIBSQL_TOKEN" | tr -d '[:space:]')"
END
}

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

# A JWT (RFC 7519) with read and write access that does not expire.
token() {
    claims=$(printf '{"alg":"EdDSA","typ":"JWT"}' | base64url).$(printf '{"a":"rw"}' | base64url)
    # openssl needs a file: it cannot sign standard input.
    printf %s "$claims" >"$file"
    signature=$(openssl pkeyutl -sign -rawin -inkey "$1" -in "$file" | base64url)
    [ -n "$signature" ] && echo "$claims.$signature"
}

fail() { echo "$1" >&2; exit 1; }

file=$(mktemp)
trap 'rm -f "$file"' EXIT
case $#,${1-} in
0,) ;;
1,dump) server dump; exit ;;
2,token) token "$2"; exit ;;
*) usage ;;
esac

cat >"$file"
grep -Eqv '^(PRAGMA .*|BEGIN.*|COMMIT;|ROLLBACK.*|--.*|[[:space:]]*)$' "$file" ||
    fail "Standard input has no SQL to run. It may be the dump of an empty database or a missing file."
! tail -n 1 "$file" | grep -q '^ROLLBACK' ||
    fail "The SQL ends with ROLLBACK: sqlite3 could not read the whole database."
reply=$(jq --raw-input --slurp \
    '{requests: [{type: "sequence", sql: .}, {type: "get_autocommit"}, {type: "close"}]}' "$file" |
    server v3/pipeline --header 'Content-Type: application/json' --data-binary @-)
error=$(printf %s "$reply" | jq --raw-output 'first(.results[] | .error.message // empty,
    if .response.is_autocommit == false
    then "The SQL does not end its transaction, so none of it was kept. It may be truncated."
    else empty end)')
[ -z "$error" ] || fail "$error"
