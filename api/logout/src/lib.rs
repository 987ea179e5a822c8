//! `POST /api/logout`: ends a session.

use luoyun_common::envelope::Context;
use luoyun_common::{Error, Params, Reply, clean_up, db, session};
use serde::Serialize;
use spin_sdk::sqlite::Value;

const DELETE_SESSION: &str = "DELETE FROM sessions WHERE digest = ?1";

#[derive(Serialize)]
struct Logout {}

fn logout(params: &Params) -> Result<Reply<Logout>, Error> {
    let caller = session::authenticate(params)?;
    let db = db::open()?;
    caller.require_active(&db)?;
    // The entry is deleted first: a crash between the two leaves only a row, which a login deletes.
    caller.sessions.delete(&caller.digest)?;
    clean_up("logout", || {
        let values = [Value::Text(caller.digest)];
        db.execute(DELETE_SESSION, &values).context("delete the session's row").map(drop)
    });
    Ok(Reply::new("Bye.", Logout {}))
}

luoyun_common::endpoint!("logout", logout);
