//! `POST /api/logout`: ends a session.

use luoyun_common::session::Session;
use luoyun_common::{Error, Params, Reply, best_effort, db};
use serde::Serialize;
use spin_sdk::sqlite::Value;

const DELETE_SESSION: &str = "DELETE FROM sessions WHERE digest = ?1";

#[derive(Serialize)]
struct Logout {}

fn logout(params: &Params) -> Result<Reply<Logout>, Error> {
    // The entry is deleted first: a crash between the two leaves only a row, which a login deletes.
    let digest = Session::find(params)?.end()?;
    best_effort("logout", || {
        db::run("delete the session's row", DELETE_SESSION, &[Value::Text(digest)]).map(drop)
    });
    Ok(Reply::new("Bye.", Logout {}))
}

luoyun_common::endpoint!("logout", logout);
