#!/bin/sh
# Makes sure that this machine's Rust can build for wasm32-wasip1.
set -eu
command -v rustc >/dev/null || { echo "There is no rustc. Install Rust: https://rustup.rs" >&2; exit 1; }
ls "$(rustc --print target-libdir --target wasm32-wasip1)"/libstd-*.rlib >/dev/null 2>&1 && exit
# rustup's own retries would take much longer.
timeout "${RUSTUP_TIMEOUT:-120}" rustup target add wasm32-wasip1 && exit
exec "$(dirname "$0")/wasm-target-from-debian.sh"
