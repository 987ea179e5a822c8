//! Random numbers, from the host's secure source.

use wasi::random::random::get_random_bytes;

/// `length` random bytes.
#[must_use]
pub fn bytes(length: usize) -> Vec<u8> {
    // Not `getrandom`: it goes through WASI preview 1 and an adapter, and can fail.
    get_random_bytes(length as u64)
}
