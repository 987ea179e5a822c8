#!/bin/sh
# Runs SQL from standard input on a libSQL server (Turso or sqld); prints the whole database as
# SQL; or creates a token for your own sqld, signed with the private key of its public key:
#
#   deploy/libsql.sh <migrations/0001_cloud.sql
#   deploy/libsql.sh dump >backup.sql
#   deploy/libsql.sh token sqld.pem
#
# LIBSQL_URL (http:// or https://) and LIBSQL_TOKEN select the server. If the SQL fails, the exit
# code is not 0. The statements before the error then stay in effect, except those of an open
# transaction.
set -eu

usage() {
    sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

# curl reads the token from a file descriptor: all users of a machine can read arguments.
server() {
    : "${LIBSQL_URL:?is the address of the libSQL server, such as https://NAME.turso.io}"
    : "${LIBSQL_TOKEN:?is the token of the libSQL server}"
    path=$1
    shift
    curl --silent --show-error --fail --config /dev/fd/3 "$@" "${LIBSQL_URL%/}/$path" 3<<END
header = "Authorization: Bearer $LIBSQL_TOKEN"
END
}

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

# A JWT (RFC 7519) with read and write access that does not expire.
token() {
    claims=$(printf '{"alg":"EdDSA","typ":"JWT"}' | base64url).$(printf '{"a":"rw"}' | base64url)
    # openssl needs a file: it cannot sign standard input.
    file=$(mktemp)
    trap 'rm -f "$file"' EXIT
    printf %s "$claims" >"$file"
    signature=$(openssl pkeyutl -sign -rawin -inkey "$1" -in "$file" | base64url)
    [ -n "$signature" ] && echo "$claims.$signature"
}

case $#,${1-} in
0,) ;;
1,dump) server dump; exit ;;
2,token) token "$2"; exit ;;
*) usage ;;
esac

reply=$(jq --raw-input --slurp '{requests: [{type: "sequence", sql: .}, {type: "close"}]}' |
    server v2/pipeline --header 'Content-Type: application/json' --data-binary @-)
errors=$(printf %s "$reply" | jq --raw-output '.results[] | select(.type != "ok") | .error.message')
if [ -n "$errors" ]; then
    printf '%s\n' "$errors" >&2
    exit 1
fi
