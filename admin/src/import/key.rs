//! The key of the fingerprints of the source's passwords.
//!
//! An import has to know whether a password has changed at the source since the last
//! one, although a login may have replaced its copy here. It remembers a fingerprint of
//! what the source stored. That is often a plain SHA-1: any digest of it alone would let
//! who steals the database guess passwords as fast as before the login made it strong.
//! An HMAC tells nothing without its key, and the key is in a file of its own.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const BYTES: usize = 32;

/// The key, and with it the right to import.
pub(crate) struct Key {
    bytes: [u8; BYTES],
    /// Locked for as long as it is open.
    _file: Option<File>,
}

impl Key {
    /// The key in the file `path`, which is made where it is not there, and stays locked
    /// against a second import.
    ///
    /// # Errors
    /// Where the file cannot be made or read, is no key, or another import has it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        if !path.exists() {
            make(path).with_context(|| format!("cannot make the key file {shown}"))?;
        }
        let file = File::open(path).with_context(|| format!("cannot open {shown}"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                bail!("Another import into this database is under way.")
            }
            Err(fs::TryLockError::Error(error)) => {
                return Err(anyhow!(error).context(format!("cannot lock {shown}")));
            }
        }
        Ok(Self { bytes: read(&file, path)?, _file: Some(file) })
    }

    /// The key in the file `path`, to look and to change nothing. Where there is no
    /// file, any key: nothing was remembered with it.
    ///
    /// # Errors
    /// Where the file cannot be read, or is no key.
    pub(crate) fn look(path: &Path) -> Result<Self> {
        let bytes = match File::open(path) {
            Ok(file) => read(&file, path)?,
            Err(error) if error.kind() == ErrorKind::NotFound => random()?,
            Err(error) => {
                return Err(anyhow!(error).context(format!("cannot open {}", path.display())));
            }
        };
        Ok(Self { bytes, _file: None })
    }

    /// The fingerprint of what the source stores of a user's password.
    ///
    /// # Errors
    /// None, with a key of this length.
    pub(crate) fn fingerprint(&self, user_id: i64, stored: &str) -> Result<Vec<u8>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.bytes)?;
        // With the id, equal passwords do not look equal.
        mac.update(&user_id.to_be_bytes());
        mac.update(stored.as_bytes());
        Ok(mac.finalize().into_bytes().to_vec())
    }
}

fn random() -> Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|cause| anyhow!("get random bytes: {cause}"))?;
    Ok(bytes)
}

/// Whole or not at all, and readable by its owner alone.
fn make(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(&random()?)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        // An import that started at the same moment was first.
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error.into()),
        _ => Ok(()),
    }
}

fn read(mut file: &File, path: &Path) -> Result<[u8; BYTES]> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    bytes.try_into().map_err(|_| {
        anyhow!(
            "{} is no key of {BYTES} bytes. Without it, the next import makes a new one, and \
             takes all passwords from the source.",
            path.display()
        )
    })
}
