//! Passwords as they are stored: which one is behind a stored value, and how a
//! password is stored.

use std::hint::black_box;

use base64ct::{Base64, Encoding};
use pbkdf2::pbkdf2_hmac;
use sha1::{Digest, Sha1};
use sha2::Sha512;
use subtle::ConstantTimeEq;

/// The form that is written, as Django writes it too:
/// `pbkdf2_sha1$iterations$salt$base64`.
const PBKDF2_SHA1: &str = "pbkdf2_sha1";

/// Bytes of a SHA-1 digest, and of what PBKDF2 derives here.
const SHA1_BYTES: usize = 20;

const SHA512_BYTES: usize = 64;

/// Bytes of randomness in a salt (RFC 8018, 4.1, asks for 8 or more).
pub const SALT_BYTES: usize = 16;

/// The most iterations that a stored value is believed, so that a wrong one cannot
/// keep a request busy for minutes.
pub const MOST_ITERATIONS: u32 = 10_000_000;

/// What a password is to a stored value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Another one.
    Wrong,
    /// The one.
    Right,
    /// The one; but the stored value is weaker than the one that [`encode`] makes.
    RightButWeak,
}

/// A stored value, taken apart.
enum Stored<'a> {
    /// SHA-1 over salt and password; the design document's form has no salt.
    Sha1 {
        salt: &'a str,
        digest: [u8; SHA1_BYTES],
    },
    /// LuoYunCloud's own form: SHA-512 over salt and password.
    Sha512 {
        salt: &'a str,
        digest: [u8; SHA512_BYTES],
    },
    Pbkdf2Sha1 {
        iterations: u32,
        salt: &'a str,
        digest: [u8; SHA1_BYTES],
    },
}

impl<'a> Stored<'a> {
    /// Tells the forms apart by their shape; `None` for any other.
    fn parse(stored: &'a str) -> Option<Self> {
        let parts: Vec<&str> = stored.split('$').collect();
        Some(match parts.as_slice() {
            [digest] => Self::Sha1 { salt: "", digest: hex(digest)? },
            ["sha1", salt, digest] => Self::Sha1 { salt, digest: hex(digest)? },
            [salt, digest] => Self::Sha512 { salt, digest: hex(digest)? },
            [PBKDF2_SHA1, iterations, salt, digest] => {
                let iterations = iterations.parse().ok()?;
                let believed = (1..=MOST_ITERATIONS).contains(&iterations);
                believed.then_some(Self::Pbkdf2Sha1 {
                    iterations,
                    salt,
                    digest: base64(digest)?,
                })?
            }
            _ => return None,
        })
    }
}

fn hex<const BYTES: usize>(digits: &str) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    let decoded = base16ct::mixed::decode(digits, &mut bytes).ok()?.len();
    (decoded == BYTES).then_some(bytes)
}

fn base64<const BYTES: usize>(digits: &str) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    let decoded = Base64::decode(digits, &mut bytes).ok()?.len();
    (decoded == BYTES).then_some(bytes)
}

fn derive(password: &[u8], salt: &[u8], iterations: u32) -> [u8; SHA1_BYTES] {
    let mut key = [0; SHA1_BYTES];
    pbkdf2_hmac::<Sha1>(password, salt, iterations, &mut key);
    key
}

/// Whether `password` is the one behind `stored`.
///
/// `None` stands for a user who does not exist. A refusal costs a derivation of
/// `iterations` whatever is stored, so that its time does not tell a user name that
/// exists from one that does not. A value of an unknown shape refuses everybody.
#[must_use]
pub fn verify(stored: Option<&str>, password: &[u8], iterations: u32) -> Verdict {
    // HMAC pads its key with NULs, so PBKDF2 cannot tell a password from the same one
    // with a NUL behind it: such a one is never right there, nor stored so.
    let is_ambiguous = password.last() == Some(&0);
    let (matches, spent) = match stored.and_then(Stored::parse) {
        Some(Stored::Sha1 { salt, digest }) => {
            let found = Sha1::new_with_prefix(salt).chain_update(password).finalize();
            (found.as_slice().ct_eq(&digest).into(), 0)
        }
        Some(Stored::Sha512 { salt, digest }) => {
            let found = Sha512::new_with_prefix(salt).chain_update(password).finalize();
            (found.as_slice().ct_eq(&digest).into(), 0)
        }
        Some(Stored::Pbkdf2Sha1 { iterations, salt, digest }) => {
            let found = derive(password, salt.as_bytes(), iterations);
            (bool::from(found.ct_eq(&digest)) && !is_ambiguous, iterations)
        }
        None => (false, 0),
    };
    if matches {
        let is_weak = spent < iterations && !is_ambiguous;
        return if is_weak { Verdict::RightButWeak } else { Verdict::Right };
    }
    if spent < iterations {
        black_box(derive(password, &[0; 2 * SALT_BYTES], iterations - spent));
    }
    Verdict::Wrong
}

/// What to store of `password`: PBKDF2-HMAC-SHA1 with `salt`, which is new, from
/// [`SALT_BYTES`] random bytes, and without a `$`.
#[must_use]
pub fn encode(password: &[u8], salt: &str, iterations: u32) -> String {
    let digest = Base64::encode_string(&derive(password, salt.as_bytes(), iterations));
    format!("{PBKDF2_SHA1}${iterations}${salt}${digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    // FIPS 180-2, appendices A.1 and C.1.
    const SHA1_ABC: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";
    const SHA512_ABC: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                              2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    // RFC 6070: password "password", salt "salt", 1 and 4096 iterations, 20 bytes.
    const PBKDF2_1: &str = "pbkdf2_sha1$1$salt$DGDID5YfDnHzqbUkr2ASBi/gN6Y=";
    const PBKDF2_4096: &str = "pbkdf2_sha1$4096$salt$SwB5AbdlSJq+rUnZJvch0GWkKcE=";

    #[test]
    fn every_form_is_verified() {
        let (sha1_salted, sha512) = (format!("sha1$a${SHA1_ABC}"), format!("ab${SHA512_ABC}"));
        for (stored, password, verdict) in [
            (SHA1_ABC, "abc", Verdict::RightButWeak),
            (&sha1_salted, "bc", Verdict::RightButWeak),
            (&sha512, "c", Verdict::RightButWeak),
            (PBKDF2_1, "password", Verdict::RightButWeak),
            (PBKDF2_4096, "password", Verdict::Right),
        ] {
            assert_eq!(verify(Some(stored), password.as_bytes(), 2), verdict, "{stored}");
            assert_eq!(verify(Some(stored), b"", 2), Verdict::Wrong, "{stored}");
            assert_eq!(verify(Some(stored), b"passwore", 2), Verdict::Wrong, "{stored}");
        }
    }

    #[test]
    fn a_nul_behind_a_password_makes_another_one() {
        assert_eq!(verify(Some(PBKDF2_1), b"password\0", 1), Verdict::Wrong);
        let sha1 = base16ct::lower::encode_string(&Sha1::digest(b"password\0"));
        assert_eq!(verify(Some(&sha1), b"password\0", 1), Verdict::Right);
        assert_eq!(verify(Some(&sha1), b"password", 1), Verdict::Wrong);
    }

    #[test]
    fn what_is_encoded_is_verified() {
        let stored = encode(b"\xffpassword", "0123456789abcdef", 2);
        assert!(stored.starts_with("pbkdf2_sha1$2$0123456789abcdef$"));
        assert_eq!(verify(Some(&stored), b"\xffpassword", 2), Verdict::Right);
        assert_eq!(verify(Some(&stored), b"\xffpassword", 3), Verdict::RightButWeak);
        assert_eq!(verify(Some(&stored), b"password", 2), Verdict::Wrong);
        assert_eq!(encode(b"password", "salt", 1), PBKDF2_1);
    }

    #[test]
    fn nobody_gets_in_without_a_user_or_with_a_malformed_value() {
        assert_eq!(verify(None, b"abc", 2), Verdict::Wrong);
        for stored in [
            "",
            "abc",
            "$",
            "$$",
            "$$$",
            "!",
            "sha1$$",
            "sha1$a$",
            "pbkdf2_sha1$$salt$",
            "pbkdf2_sha1$0$salt$DGDID5YfDnHzqbUkr2ASBi/gN6Y=",
            "pbkdf2_sha1$-1$salt$DGDID5YfDnHzqbUkr2ASBi/gN6Y=",
            "pbkdf2_sha1$99999999999$salt$DGDID5YfDnHzqbUkr2ASBi/gN6Y=",
            "pbkdf2_sha1$1$salt$DGDID5YfDnHzqbUkr2ASBi8=",
            "pbkdf2_sha256$1$salt$DGDID5YfDnHzqbUkr2ASBi/gN6Y=",
            &SHA1_ABC[1..],
            &format!("{SHA1_ABC} "),
            &format!("sha256$a${SHA1_ABC}"),
            &format!("ab${}", &SHA512_ABC[1..]),
        ] {
            for password in ["", "abc", "password"] {
                let verdict = verify(Some(stored), password.as_bytes(), 2);
                assert_eq!(verdict, Verdict::Wrong, "{stored:?} {password:?}");
            }
        }
    }
}
