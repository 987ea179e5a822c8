#!/bin/sh
# Runs SQL on a libSQL server: Turso or sqld. Takes SQL from standard input, or prints the
# whole database as SQL:
#
#   deploy/libsql.sh <migrations/0001_initial.sql
#   deploy/libsql.sh dump >backup.sql
#
# LIBSQL_URL (http:// or https://) and LIBSQL_TOKEN say which server. Exits with another code
# than 0 where the SQL fails: what stands before the error is then done, but for a
# transaction that is open.
set -eu
: "${LIBSQL_URL:?is the address of the libSQL server, such as https://NAME.turso.io}"
: "${LIBSQL_TOKEN:?is the token of the libSQL server}"

# The token comes from a file descriptor: everybody on a machine can read arguments.
server() {
    path=$1
    shift
    curl --silent --show-error --fail --config /dev/fd/3 "$@" "${LIBSQL_URL%/}/$path" 3<<END
header = "Authorization: Bearer $LIBSQL_TOKEN"
END
}

case ${1-} in
'') ;;
dump) server dump; exit ;;
*) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

reply=$(jq --raw-input --slurp '{requests: [{type: "sequence", sql: .}, {type: "close"}]}' |
    server v2/pipeline --header 'Content-Type: application/json' --data-binary @-)
errors=$(printf %s "$reply" | jq --raw-output '.results[] | select(.type != "ok") | .error.message')
if [ -n "$errors" ]; then
    printf '%s\n' "$errors" >&2
    exit 1
fi
