//! Randomness, from the host's secure source.

use wasi::random::random::get_random_bytes;

/// So many random bytes, in lower-case hex digits.
#[must_use]
pub(crate) fn hex(bytes: usize) -> String {
    // Not `getrandom`: that goes through preview 1 and an adapter, and could fail.
    base16ct::lower::encode_string(&get_random_bytes(bytes as u64))
}
