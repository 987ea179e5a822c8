//! `POST /api/login`: a user name and a password for a session key.

use luoyun_common::attempt::Attempt;
use luoyun_common::client::Client;
use luoyun_common::password::{self, Verdict};
use luoyun_common::{Error, Params, Reply, serve, session, settings, user};
use serde::Serialize;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;

#[derive(Serialize)]
struct Login {
    session_key: String,
}

fn login(params: &Params, client: &Client) -> Result<Reply<Login>, Error> {
    let username = params
        .text("username")
        .ok_or(Error::InvalidParameter { name: "username", takes: "the name of a user" })?;
    let password = params
        .bytes("password")
        .ok_or(Error::InvalidParameter { name: "password", takes: "the user's password" })?;

    let db = user::open_database()?;
    let mut attempt = Attempt::begin(&db, username.into_owned(), &client.address()?)?;
    let iterations = settings::password_iterations()?;
    let stored = attempt.user.as_ref().map(|user| user.password.as_str());
    let verdict = password::verify(stored, &password, iterations);
    let user = match attempt.user.take() {
        Some(user) if verdict != Verdict::Wrong => user,
        _ => return Err(attempt.refuse()),
    };
    if user.is_locked {
        return Err(Error::UserLocked);
    }

    let is_weak = verdict == Verdict::RightButWeak;
    if is_weak {
        user.upgrade(&db, &password, iterations)?;
    }
    let was_counted = attempt.forgive()?;
    let (session_key, store) = session::issue(&db, &user)?;
    // One kind of housekeeping a login, so that none takes long.
    if attempt.is_sweep_due && !is_weak && !was_counted {
        session::sweep(&db, &store)?;
    }
    Ok(Reply::new("Welcome to LYC.", Login { session_key }))
}

#[http_component]
fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
    let client = Client::of(&request);
    serve(request, response_out, |params| login(params, &client));
}
