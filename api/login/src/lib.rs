//! `POST /api/login`: a user name and a password for a session key.

use luoyun_common::{Error, Params, Reply, password, serve, session, user};
use serde::Serialize;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;

#[derive(Serialize)]
struct Login {
    session_key: String,
}

fn login(params: &Params) -> Result<Reply<Login>, Error> {
    let username = params
        .text("username")
        .ok_or(Error::InvalidParameter { name: "username", takes: "the name of a user" })?;
    let password = params
        .bytes("password")
        .ok_or(Error::InvalidParameter { name: "password", takes: "the user's password" })?;

    let db = user::open_database()?;
    let user = user::find(&db, username)?;
    let stored = user.as_ref().map(|user| user.password.as_str());
    if !password::verify(stored, &password) {
        return Err(Error::AuthFailed);
    }
    let user = user.ok_or(Error::AuthFailed)?;
    if user.is_locked {
        return Err(Error::UserLocked);
    }

    let session_key = session::issue(&db, user.id)?;
    Ok(Reply::new("Welcome to LYC.", Login { session_key }))
}

#[http_component]
fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
    serve(request, response_out, login);
}
