//! Is this the password that was stored?

use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

/// Whether `password` is the one behind `stored`, the lower-case SHA-1 hex
/// digest of the design document ("sha1").
///
/// `None` stands for a user who does not exist. It is refused after the same
/// work, so that the time of an answer does not say which names exist. A stored
/// value of any other shape refuses everybody.
#[must_use]
pub fn verify(stored: Option<&str>, password: &[u8]) -> bool {
    let digest = base16ct::lower::encode_string(&Sha1::digest(password));
    // No digest has this shape, so it matches nothing and costs the same.
    let expected = stored.unwrap_or("----------------------------------------");
    digest.as_bytes().ct_eq(expected.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    // FIPS 180-2, appendix A.1.
    const ABC: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";

    #[test]
    fn the_sha1_hex_digest_is_verified() {
        assert!(verify(Some(ABC), b"abc"));
        assert!(!verify(Some(ABC), b"abd"));
        assert!(!verify(Some(ABC), b""));
    }

    #[test]
    fn nobody_gets_in_without_a_user_or_with_a_malformed_digest() {
        assert!(!verify(None, b"abc"));
        for stored in ["", "abc", &ABC[1..], &ABC.to_uppercase(), &format!("{ABC} ")] {
            assert!(!verify(Some(stored), b"abc"), "{stored:?}");
        }
    }
}
