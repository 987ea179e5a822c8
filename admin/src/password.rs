//! Reads a password from the terminal or standard input, never from an argument.

use std::io::{self, IsTerminal, Read};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use luoyun_password::{MEMORY_KIB, PASSES, SALT_BYTES, Strength};
use luoyun_values::text::trim_bytes;

use crate::output::visible;
use crate::prompt;

/// Longest new password, in bytes: with the longest user name, a login's body is still below its
/// limit if each byte is percent-encoded (docs/contract.md).
const MAX_BYTES: usize = 16 * 1024;

/// Longest input: also a line end.
const MAX_INPUT_BYTES: usize = MAX_BYTES + 2;

#[derive(Args)]
pub(crate) struct StrengthOptions {
    /// Memory of Argon2id, in KiB: the server's variable `password_memory_kib`
    #[arg(long, value_name = "KIB", default_value_t = Strength::DEFAULT.memory_kib,
          value_parser = clap::value_parser!(u32).range(range(MEMORY_KIB)))]
    memory_kib: u32,
    /// Passes over the memory: the server's variable `password_passes`
    #[arg(long, value_name = "NUMBER", default_value_t = Strength::DEFAULT.passes,
          value_parser = clap::value_parser!(u32).range(range(PASSES)))]
    passes: u32,
}

fn range(range: std::ops::RangeInclusive<u32>) -> std::ops::RangeInclusive<i64> {
    i64::from(*range.start())..=i64::from(*range.end())
}

/// Reads a new password of `username` from the terminal, or from standard input if that is not a
/// terminal, without the white space and control characters around it. Returns it encoded for
/// storage.
/// Fails if it is empty or too long, begins with a byte order mark, or the repetition differs.
pub(crate) fn read_encoded(username: &str, options: StrengthOptions) -> Result<String> {
    let input =
        if io::stdin().is_terminal() { read_from_terminal(username)? } else { read_line()? };
    let password = trim_bytes(&input);
    ensure!(!password.is_empty(), "The password is empty.");
    if password.len() > MAX_BYTES || input.len() > MAX_INPUT_BYTES {
        bail!("The password is longer than {MAX_BYTES} bytes: a login may not be able to send it.");
    }
    let marks: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];
    if marks.iter().any(|mark| password.starts_with(mark)) {
        bail!("The password begins with a byte order mark: save its file as UTF-8 without one.");
    }
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|cause| anyhow!("cannot get random bytes: {cause}"))?;
    let strength = Strength { memory_kib: options.memory_kib, passes: options.passes };
    Ok(luoyun_password::encode(password, &salt, strength)?)
}

fn read_from_terminal(username: &str) -> Result<Vec<u8>> {
    let ask = |prompt: &str| {
        prompt::read_hidden(prompt).context("cannot read the password from the terminal")
    };
    let first = ask(&format!("Password of {}: ", visible(username)))?;
    let second = ask("Repeat the password: ")?;
    ensure!(first == second, "The two passwords differ.");
    Ok(first)
}

fn read_line() -> Result<Vec<u8>> {
    let mut line = Vec::new();
    io::stdin()
        .take(MAX_INPUT_BYTES as u64 + 1)
        .read_to_end(&mut line)
        .context("cannot read the password from standard input")?;
    if trim_bytes(&line).contains(&b'\n') {
        bail!("Standard input has more than one line: it must contain only the password.");
    }
    Ok(line)
}
