#!/bin/sh
# Run by luoyun-api.service before Spin: chooses the manifest, creates the runtime config or the state
# folder's file, and says in the journal what is missing, every 10 seconds.
set -eu
cd "$(dirname "$0")/.."
environment=/etc/luoyun-api.env root=/etc/luoyun-api-root.pem

fail() { echo "$*" >&2; sleep 10; exit 1; }
[ -e $environment ] || fail "$environment is missing: create it (deploy/README.md)."
[ -x /usr/local/bin/spin ] || fail "/usr/local/bin/spin is missing or not executable: install Spin there."
manifest=$(LUOYUN_HOST=spin scripts/manifest.sh)
echo "$manifest" >"${RUNTIME_CONFIG_FILE%/*}/manifest"
for module in "$manifest" $(sed -n 's/^source = "\(.*\)"/\1/p' "$manifest"); do
    [ -r "$module" ] || fail "$PWD/$module is missing or not readable by all: run make build there, with umask 022."
done
if [ -z "${LIBSQL_URL:-}${LIBSQL_TOKEN:-}${REDIS_URL:-}" ]; then
    : >"$RUNTIME_CONFIG_FILE"
    exec scripts/state-folder.sh "$HOME"
fi
# Spin would print a line that is not TOML, with the secret in it.
for it in "LIBSQL_URL ${LIBSQL_URL:-}" "LIBSQL_TOKEN ${LIBSQL_TOKEN:-}" "REDIS_URL ${REDIS_URL:-}"; do
    case $it in
    *' '*[!!-~]* | *[\"\\]*) fail "${it%% *} in $environment has a space, a quote or a backslash (in a URL: %XX)." ;;
    *' ') fail "${it% } is missing in $environment: LIBSQL_URL, LIBSQL_TOKEN and REDIS_URL belong together." ;;
    LIBSQL_URL*[@?#]*) fail "LIBSQL_URL in $environment has a user or a parameter: the token belongs into LIBSQL_TOKEN." ;;
    'LIBSQL_URL http://'* | 'LIBSQL_URL https://'* | LIBSQL_TOKEN* | 'REDIS_URL redis'*://*) ;;
    *) fail "LIBSQL_URL in $environment must start with https:// or http://, and REDIS_URL with redis://." ;;
    esac
done
grep -qs 'BEGIN CERTIFICATE' $root ||
    fail "$root is missing, not readable by all, or has no certificate, which LIBSQL_URL needs (deploy/README.md, \"One root certificate\")."
command -v envsubst >/dev/null || fail "envsubst is missing: apt-get install gettext-base"
envsubst <deploy/runtime-config.toml >"$RUNTIME_CONFIG_FILE"
