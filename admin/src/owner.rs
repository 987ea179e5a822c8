//! Whose the files in a folder are.
//!
//! A state folder is the server's, which has to be able to write each file in it. So what root
//! creates there, or has left there after a copy, becomes that of the folder's owner.

use std::fs::{self, DirBuilder, File, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{Mode, OFlags, fchmod};
use rustix::process::geteuid;

use crate::output;

/// `path`, or the target of this symbolic link, even if that is missing.
pub(crate) fn resolve(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // As many links as Linux follows.
    for _ in 0..40 {
        let Ok(target) = fs::read_link(&path) else { break };
        path = folder_of(&path).join(target);
    }
    path
}

/// The folder that contains `path`.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Creates the file `path` if it is missing. Root's files beside it whose names begin with `prefix`
/// become those of the folder's owner, and others cannot read them.
/// Fails if this user cannot do that, with what to do.
pub(crate) fn claim(path: &Path, prefix: &str) -> Result<()> {
    let failed = || format!("cannot create {}", path.display());
    let folder = folder_of(path);
    let owner = fs::metadata(folder).with_context(failed)?;
    let user = geteuid();
    if !path.try_exists().with_context(failed)? {
        if !user.is_root() && owner.uid() != user.as_raw() {
            let advice = "whose server could not write your file: run this as root";
            bail!("{}: {} is another user's, {advice}.", failed(), folder.display());
        }
        match File::options().write(true).create_new(true).mode(0o600).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => drop(created.with_context(failed)?),
        }
    }
    // Root also mends a file of the owner that is read-only.
    let shut = |it: &Metadata| user.is_root() && it.uid() == owner.uid() && it.mode() & 0o200 == 0;
    let is_lost = |it: &Metadata| it.is_file() && it.nlink() == 1 && (it.uid() == 0 || shut(it));
    // A user who may not list the folder owns nothing in it.
    let files = fs::read_dir(folder).into_iter().flatten().flatten().filter(|file| {
        let is_named = file.file_name().as_encoded_bytes().starts_with(prefix.as_bytes());
        owner.uid() != 0 && is_named && file.metadata().is_ok_and(|it| is_lost(&it))
    });
    let files: Vec<_> = files.map(|file| file.path().into_os_string()).collect();
    if !user.is_root() && !files.is_empty() {
        let reference = format!("--reference={}", folder.display());
        let command = ["sudo".into(), "chown".into(), reference.into()].into_iter().chain(files);
        let reason = "The server cannot write what root has left in its folder.";
        bail!("{reason} Run:\n  {}", output::shell(command));
    }
    for file in files {
        // The folder's owner may have replaced it by a link to any file of root.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = File::options().read(true).custom_flags(flags).open(file)?;
        if is_lost(&file.metadata()?) {
            fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
            fchmod(&file, Mode::RUSR | Mode::WUSR)?;
        }
    }
    Ok(())
}

/// Creates the folder `path` and those above it, each for the owner of the one above.
/// Fails as the system does.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    create_folder(folder_of(path))?;
    let owner = fs::metadata(folder_of(path))?;
    DirBuilder::new().mode(0o700).create(path)?;
    if geteuid().is_root() { chown(path, Some(owner.uid()), Some(owner.gid())) } else { Ok(()) }
}
