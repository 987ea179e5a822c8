//! Stored passwords and users.

/// The password `password`, stored with SHA-1.
pub const SHA1: &str = "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8";
/// The same with a salt, as Django stores it.
pub const SALTED: &str = "sha1$salt$59b3e8d637cf97edbe2384cf59cb7453dfe30789";
/// The same with Argon2id, at the lowest cost; created with argon2-cffi.
pub const ARGON2ID: &str =
    "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$8Tf44YakA6Z5zNBgblq13Nr+Q8FkCFWsjG4z6b1j7rM";

/// SQL that gives the user luoyun the password of the demo data again, and undoes the change of the
/// epoch, which would end the sessions.
pub const WEAK: &str = "UPDATE users SET password = '5ce229cfdbc7804f86696e7240ba64f86e67d821',
    session_epoch = session_epoch - 1 WHERE id = 1";

/// SQL that inserts users, each with a name and a stored password.
pub fn insert_users<P: AsRef<str>>(users: &[(&str, P)]) -> String {
    let insert = |(name, stored): &(&str, P)| {
        let stored = stored.as_ref();
        format!("INSERT INTO users (username, password) VALUES ('{name}', '{stored}');")
    };
    users.iter().map(insert).collect()
}
