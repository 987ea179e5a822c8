#!/bin/sh
# need.sh PACKAGES COMMAND...: makes sure that a command succeeds on this machine. If it fails,
# installs the Debian packages that it needs (one argument); without root rights, says how to.
set -eu
packages=$1
shift
"$@" >/dev/null 2>&1 && exit 0

# Another install may hold apt's locks: waits for up to five minutes.
apt() {
    tries=100
    until errors=$(DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=300 "$@" 2>&1 >/dev/null); do
        tries=$((tries - 1))
        case $tries,$errors in
        0,*) ;;
        *'ould not get lock'* | *'nable to acquire'* | *'nable to lock'*) sleep 3 && continue ;;
        esac
        echo "$errors" >&2
        return 1
    done
}

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing $packages"
    # Without the servers, the lists of before may do.
    apt update || true
    # shellcheck disable=SC2086 # a list of names
    apt install -y --no-install-recommends $packages && "$@" >/dev/null && exit
fi
echo "Packages are missing. On Debian and Ubuntu: sudo apt-get install $packages" >&2
exit 1
