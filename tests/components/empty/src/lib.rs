//! The baseline without storage: parses a request and writes a reply as every endpoint does, with
//! no work in between.

use luoyun_common::{Error, Params, Reply};
use serde::Serialize;

#[derive(Serialize)]
struct Nothing {}

#[allow(clippy::unnecessary_wraps, reason = "a handler")]
fn empty(_: &Params) -> Result<Reply<Nothing>, Error> {
    Ok(Reply::new("Nothing.", Nothing {}))
}

luoyun_common::endpoint!("empty", empty);
