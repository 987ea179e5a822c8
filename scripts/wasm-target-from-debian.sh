#!/bin/sh
# Builds Rust's standard library for wasm32-wasip1, on a machine that reaches a Debian mirror but not
# rustup's servers, from the sources that Debian publishes for the same version of Rust. apt fetches
# and verifies them with its own temporary configuration: it installs nothing and changes no source
# list of this machine.
set -eu

target=wasm32-wasip1
suites="trixie-backports sid forky trixie bookworm-backports bookworm"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
library=$(rustc --print target-libdir --target $target)

say() { echo "wasm target: $*"; }

give_up() {
    say "$*" >&2
    echo "
The components need Rust's standard library for $target. Any of these helps:
  - reach rustup's servers, and run: rustup target add $target
  - use a Rust whose sources Debian publishes (rustup toolchain install VERSION)
  - set DEBIAN_MIRROR to the base address of a Debian mirror that this machine
    reaches, with debian-archive-keyring and dpkg installed" >&2
    exit 1
}

say "rustup failed; building the standard library from Debian's sources instead"
command -v dpkg >/dev/null || give_up "there is no dpkg here"
[ -e $keyring ] || give_up "there is no $keyring (package debian-archive-keyring)"
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' |
    grep -m 1 '/debian/*$' || true)}
[ -n "$mirror" ] || give_up "apt knows no Debian mirror"

version=$(rustc --version | cut -d ' ' -f 2)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/unpacked"

# Runs apt-get or apt-cache on the suite in $work/sources.list only.
isolated_apt() {
    tool=$1
    shift
    (cd "$work" && "$tool" -qq -o Dir::Etc::SourceList="$work/sources.list" \
        -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::Preferences=/dev/null \
        -o Dir::Etc::PreferencesParts=/dev/null -o Dir::State::Lists="$work/apt/lists" \
        -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User= "$@")
}

found=
for suite in $suites; do
    say "looking for the sources of Rust $version in Debian $suite"
    echo "deb [signed-by=$keyring] $mirror $suite main" >"$work/sources.list"
    isolated_apt apt-get update 2>/dev/null || continue
    found=$(isolated_apt apt-cache madison rust-src | cut -d '|' -f 2 | tr -d ' ' |
        grep -m 1 "^$version+" || true)
    [ -z "$found" ] || break
done
[ -n "$found" ] || give_up "no Debian suite has the sources of Rust $version"

say "fetching rust-src $found and wasi-libc"
isolated_apt apt-get download "rust-src=$found" wasi-libc >/dev/null
for package in "$work"/*.deb; do dpkg -x "$package" "$work/unpacked"; done

sources=$(rustc --print sysroot)/lib/rustlib/src/rust
mkdir -p "$sources" "$library/self-contained"
rm -rf "$sources/library"
cp -r "$work/unpacked/usr/src/rustc-$version/library" "$sources/library"
for object in libc.a crt1-command.o crt1-reactor.o; do
    cp "$work/unpacked/usr/lib/$target/$object" "$library/self-contained/"
done

say "building the standard library (about a minute)"
cargo new --quiet --vcs none "$work/any"
# Without embedded bitcode, `lto = true` fails later: there is no section ".llvmbc".
(cd "$work/any" && RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Cembed-bitcode=yes CARGO_TARGET_DIR="$work/built" \
    cargo build --quiet --release -Zbuild-std=std,panic_abort --target $target) ||
    give_up "building the standard library failed"
cp "$work"/built/$target/release/deps/*.rlib "$library/"
say "done"
