#!/bin/sh
# Makes sure that this machine's Rust has rustfmt and clippy, which a minimal rustup lacks.
installed() { cargo fmt --version && cargo clippy --version; }
installed >/dev/null 2>&1 && exit
timeout "${RUSTUP_TIMEOUT:-120}" rustup component add rustfmt clippy && installed >/dev/null && exit
echo "rustfmt or clippy is missing. With rustup: rustup component add rustfmt clippy; on Debian and \
Ubuntu: sudo apt-get install rustfmt rust-clippy" >&2
exit 1
