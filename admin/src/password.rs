//! Reads a password from the terminal or standard input, never from an argument.

use std::io::{self, IsTerminal, Read};

use anyhow::{Context, Result, anyhow, bail};
use luoyun_password::{SALT_BYTES, Strength};

/// Largest body of a request, in bytes (docs/contract.md): a login cannot send a longer
/// password.
const MAX_BYTES: u64 = 64 * 1024;

/// Reads a new password of `username` from the terminal, or from standard input if that is not a
/// terminal. Returns it encoded for storage, with `strength`.
/// Fails if it is empty or too long, or if the repetition differs.
pub(crate) fn read_encoded(username: &str, strength: Strength) -> Result<String> {
    let password =
        if io::stdin().is_terminal() { read_from_terminal(username)? } else { read_line()? };
    if password.is_empty() {
        bail!("The password is empty.");
    }
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|cause| anyhow!("cannot get random bytes: {cause}"))?;
    Ok(luoyun_password::encode(&password, &salt, strength)?)
}

fn read_from_terminal(username: &str) -> Result<Vec<u8>> {
    const FAILED: &str = "cannot read the password from the terminal";
    let prompt = format!("Password of {username}: ");
    let first = rpassword::prompt_password(prompt).context(FAILED)?;
    let second = rpassword::prompt_password("Repeat the password: ").context(FAILED)?;
    if first != second {
        bail!("The two passwords differ.");
    }
    Ok(first.into_bytes())
}

fn read_line() -> Result<Vec<u8>> {
    let mut line = Vec::new();
    io::stdin()
        .take(MAX_BYTES + 1)
        .read_to_end(&mut line)
        .context("cannot read the password from standard input")?;
    if line.len() as u64 > MAX_BYTES {
        bail!("The password on standard input is longer than {MAX_BYTES} bytes.");
    }
    let end = line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n"));
    line.truncate(end.map_or(line.len(), <[u8]>::len));
    if line.contains(&b'\n') {
        bail!("Standard input has more than one line: it must contain only the password.");
    }
    Ok(line)
}
