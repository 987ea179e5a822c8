//! Stored passwords: verifies every format that LuoYunCloud has used, and encodes new ones as
//! Argon2id.
//!
//! | format | stored value |
//! | --- | --- |
//! | Argon2id, for new passwords | `$argon2id$v=19$m=…,t=…,p=1$salt$hash`, a PHC string |
//! | SHA-1, as in the design document | 40 hex digits |
//! | SHA-1 of salt and password | `sha1$salt$` and 40 hex digits |
//! | SHA-512 of salt and password, as LuoYunCloud stores it | `salt$` and 128 hex digits |

#![forbid(unsafe_code)]

use std::fmt;
use std::hint::black_box;
use std::ops::RangeInclusive;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64ct::{Base64Unpadded, Encoding};
use sha1::{Digest, Sha1};
use sha2::Sha512;
use subtle::ConstantTimeEq;

/// Accepted memory of a derivation, in KiB, in settings and in stored values. The minimum is
/// that of Argon2 (RFC 9106, 3.1).
pub const MEMORY_KIB: RangeInclusive<u32> = 8..=262_144;

/// Accepted passes over the memory, in settings and in stored values.
pub const PASSES: RangeInclusive<u32> = 1..=10;

/// Length of a new salt, in bytes (RFC 9106, 3.1).
pub const SALT_BYTES: usize = 16;

const HASH_BYTES: usize = 32;

/// Accepted length of a stored salt, in bytes. The derivation fails with a shorter salt than
/// Argon2's minimum.
const ACCEPTED_SALT_BYTES: RangeInclusive<usize> = argon2::MIN_SALT_LEN..=64;

/// The cost parameters of Argon2id. Parallelism is 1, as a component has one thread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Strength {
    /// Memory, in KiB, within [`MEMORY_KIB`].
    pub memory_kib: u32,
    /// Passes over the memory, within [`PASSES`].
    pub passes: u32,
}

impl Strength {
    /// The default: OWASP's first choice ("Password Storage Cheat Sheet", Argon2id, 2025).
    pub const DEFAULT: Self = Self { memory_kib: 19_456, passes: 2 };

    /// Number of 1 KiB blocks that a derivation computes; its time is proportional to this.
    #[must_use]
    pub fn work(self) -> u32 {
        self.memory_kib * self.passes
    }

    /// A strength whose derivation computes about `work` blocks, in no more memory than that of
    /// `self`.
    fn with_work(self, work: u32) -> Self {
        let passes = work.div_ceil(self.memory_kib).max(1);
        Self { memory_kib: (work / passes).max(*MEMORY_KIB.start()), passes }
    }
}

/// Result of comparing a password with a stored value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The password does not match.
    Wrong,
    /// The password matches.
    Right,
    /// The password matches, but [`encode`] would store it in a stronger form.
    RightButWeak,
}

/// A derivation failed: its memory could not be allocated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DerivationError {
    memory_kib: u32,
}

impl fmt::Display for DerivationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Argon2id failed with {} KiB of memory", self.memory_kib)
    }
}

impl std::error::Error for DerivationError {}

/// A parsed stored value.
enum Stored<'a> {
    Sha1 { salt: &'a str, digest: [u8; 20] },
    Sha512 { salt: &'a str, digest: [u8; 64] },
    Argon2id { strength: Strength, salt: Vec<u8>, hash: [u8; HASH_BYTES] },
}

impl<'a> Stored<'a> {
    /// `None` for a value in any other format: no password matches it.
    fn parse(stored: &'a str) -> Option<Self> {
        let parts: Vec<&str> = stored.split('$').collect();
        Some(match parts.as_slice() {
            [digest] => Self::Sha1 { salt: "", digest: hex(digest)? },
            ["sha1", salt, digest] => Self::Sha1 { salt, digest: hex(digest)? },
            [salt, digest] => Self::Sha512 { salt, digest: hex(digest)? },
            ["", "argon2id", "v=19", strength, salt, hash] => {
                let salt = Base64Unpadded::decode_vec(salt).ok()?;
                if !ACCEPTED_SALT_BYTES.contains(&salt.len()) {
                    return None;
                }
                let hash = Base64Unpadded::decode_vec(hash).ok()?.try_into().ok()?;
                Self::Argon2id { strength: parse_strength(strength)?, salt, hash }
            }
            _ => return None,
        })
    }
}

/// Whether `stored` has one of the formats above. No password matches any other value.
#[must_use]
pub fn is_known(stored: &str) -> bool {
    Stored::parse(stored).is_some()
}

/// Parses `m=…,t=…,p=1`. `None` if malformed or not accepted.
fn parse_strength(text: &str) -> Option<Strength> {
    let (memory, passes) = text.strip_prefix("m=")?.strip_suffix(",p=1")?.split_once(",t=")?;
    let strength = Strength { memory_kib: memory.parse().ok()?, passes: passes.parse().ok()? };
    let is_accepted =
        MEMORY_KIB.contains(&strength.memory_kib) && PASSES.contains(&strength.passes);
    is_accepted.then_some(strength)
}

fn hex<const BYTES: usize>(digits: &str) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    let decoded = base16ct::mixed::decode(digits, &mut bytes).ok()?.len();
    (decoded == BYTES).then_some(bytes)
}

fn derive(
    password: &[u8],
    salt: &[u8],
    strength: Strength,
) -> Result<[u8; HASH_BYTES], DerivationError> {
    let Strength { memory_kib, passes } = strength;
    let failed = DerivationError { memory_kib };
    let params = Params::new(memory_kib, passes, 1, Some(HASH_BYTES)).map_err(|_| failed)?;
    let mut memory = Vec::new();
    memory.try_reserve_exact(params.block_count()).map_err(|_| failed)?;
    memory.resize(params.block_count(), Block::default());
    let mut hash = [0; HASH_BYTES];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password, salt, &mut hash, &mut memory)
        .map_err(|_| failed)?;
    Ok(hash)
}

/// Compares `password` with `stored`, in constant time. `stored` is `None` if the user does not
/// exist.
///
/// A wrong password costs one derivation with `strength`, whatever is stored, so that the
/// response time does not reveal whether a user name exists. (A value that was stored with more
/// work costs that work.)
///
/// # Errors
/// If the memory for the derivation cannot be allocated.
pub fn verify(
    stored: Option<&str>,
    password: &[u8],
    strength: Strength,
) -> Result<Verdict, DerivationError> {
    let (matches, is_weak, work) = match stored.and_then(Stored::parse) {
        Some(Stored::Sha1 { salt, digest }) => {
            let found = Sha1::new_with_prefix(salt).chain_update(password).finalize();
            (found.as_slice().ct_eq(&digest).into(), true, 0)
        }
        Some(Stored::Sha512 { salt, digest }) => {
            let found = Sha512::new_with_prefix(salt).chain_update(password).finalize();
            (found.as_slice().ct_eq(&digest).into(), true, 0)
        }
        Some(Stored::Argon2id { strength: stored, salt, hash }) => {
            let found = derive(password, &salt, stored)?;
            let is_weak =
                stored.memory_kib < strength.memory_kib || stored.passes < strength.passes;
            (found.ct_eq(&hash).into(), is_weak, stored.work())
        }
        None => (false, false, 0),
    };
    if matches {
        return Ok(if is_weak { Verdict::RightButWeak } else { Verdict::Right });
    }
    if let Some(rest) = strength.work().checked_sub(work).filter(|rest| *rest > 0) {
        black_box(derive(password, &[0; SALT_BYTES], strength.with_work(rest))?);
    }
    Ok(Verdict::Wrong)
}

/// Encodes `password` for storage, as an Argon2id PHC string. `salt` has to be [`SALT_BYTES`] new
/// random bytes.
///
/// # Errors
/// If the memory for the derivation cannot be allocated.
pub fn encode(password: &[u8], salt: &[u8], strength: Strength) -> Result<String, DerivationError> {
    let hash = derive(password, salt, strength)?;
    let Strength { memory_kib, passes } = strength;
    let [salt, hash] = [salt, &hash].map(Base64Unpadded::encode_string);
    Ok(format!("$argon2id$v=19$m={memory_kib},t={passes},p=1${salt}${hash}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAPEST: Strength = Strength { memory_kib: 8, passes: 1 };

    // FIPS 180-2, appendices A.1 and C.1.
    const SHA1_ABC: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";
    const SHA512_ABC: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                              2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    // From the reference implementation: password "password", salt "somesalt".
    const ARGON2ID_256_2: &str =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    const ARGON2ID_8_1: &str =
        "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$8Tf44YakA6Z5zNBgblq13Nr+Q8FkCFWsjG4z6b1j7rM";

    fn verdict(stored: &str, password: &[u8], strength: Strength) -> Verdict {
        verify(Some(stored), password, strength).unwrap()
    }

    #[test]
    fn every_form_is_verified() {
        let (sha1_salted, sha512) = (format!("sha1$a${SHA1_ABC}"), format!("ab${SHA512_ABC}"));
        let strength = Strength { memory_kib: 256, passes: 2 };
        for (stored, password, expected) in [
            (SHA1_ABC, "abc", Verdict::RightButWeak),
            (&sha1_salted, "bc", Verdict::RightButWeak),
            (&sha512, "c", Verdict::RightButWeak),
            (ARGON2ID_8_1, "password", Verdict::RightButWeak),
            (ARGON2ID_256_2, "password", Verdict::Right),
        ] {
            assert_eq!(verdict(stored, password.as_bytes(), strength), expected, "{stored}");
            for wrong in ["", "passwore", "password\0"] {
                let verdict = verdict(stored, wrong.as_bytes(), strength);
                assert_eq!(verdict, Verdict::Wrong, "{stored} {wrong:?}");
            }
        }
    }

    #[test]
    fn a_stored_value_is_weak_where_memory_or_passes_are_below_the_strength() {
        for (memory_kib, passes, expected) in [
            (256, 2, Verdict::Right),
            (255, 2, Verdict::Right),
            (256, 1, Verdict::Right),
            (257, 2, Verdict::RightButWeak),
            (8, 3, Verdict::RightButWeak),
        ] {
            let strength = Strength { memory_kib, passes };
            let found = verdict(ARGON2ID_256_2, b"password", strength);
            assert_eq!(found, expected, "{strength:?}");
        }
    }

    #[test]
    fn an_encoded_password_is_verified_at_the_edges_of_what_is_accepted() {
        let edges = [
            CHEAPEST,
            Strength { passes: *PASSES.end(), ..CHEAPEST },
            Strength { memory_kib: *MEMORY_KIB.end(), passes: 1 },
            Strength::DEFAULT,
        ];
        for strength in edges {
            let stored = encode(b"\xffpassword\0", b"0123456789abcdef", strength).unwrap();
            let Strength { memory_kib, passes } = strength;
            let before =
                format!("$argon2id$v=19$m={memory_kib},t={passes},p=1$MDEyMzQ1Njc4OWFiY2RlZg$");
            assert!(stored.starts_with(&before), "{stored}");
            assert_eq!(verdict(&stored, b"\xffpassword\0", strength), Verdict::Right);
            assert_eq!(verdict(&stored, b"\xffpassword", strength), Verdict::Wrong);
        }
    }

    #[test]
    fn no_password_matches_a_missing_user_or_a_malformed_value() {
        assert_eq!(verify(None, b"abc", CHEAPEST), Ok(Verdict::Wrong));
        let with = |from: &str, to: &str| ARGON2ID_8_1.replace(from, to);
        for stored in [
            "",
            "abc",
            "$",
            "$$",
            "$$$",
            "$$$$$",
            "!",
            "sha1$$",
            "sha1$a$",
            &with("argon2id", "argon2i"),
            &with("v=19", "v=16"),
            &with("m=8", "m=7"),
            &with("m=8", "m=262145"),
            &with("m=8", "m=-8"),
            &with("m=8", "m=99999999999"),
            &with("t=1", "t=0"),
            &with("t=1", "t=11"),
            &with("p=1", "p=2"),
            &with(",p=1", ""),
            &with("m=8,t=1", "t=1,m=8"),
            &with("c29tZXNhbHQ", "c29tZXNhbA"),
            &with("c29tZXNhbHQ", "c29tZXNhbHQ="),
            &with("c29tZXNhbHQ", ""),
            &ARGON2ID_8_1[..ARGON2ID_8_1.len() - 2],
            &format!("{ARGON2ID_8_1}$"),
            "pbkdf2_sha1$1$salt$DGDID5YfDnHzqbUkr2ASBi/gN6Y=",
            &SHA1_ABC[1..],
            &format!("{SHA1_ABC} "),
            &format!("sha256$a${SHA1_ABC}"),
            &format!("ab${}", &SHA512_ABC[1..]),
        ] {
            for password in ["", "abc", "password"] {
                let found = verdict(stored, password.as_bytes(), CHEAPEST);
                assert_eq!(found, Verdict::Wrong, "{stored:?} {password:?}");
            }
        }
    }
}
