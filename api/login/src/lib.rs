//! `POST /api/login`: verifies a password, and returns a session key.

mod admission;
mod client;
mod session;
mod settings;
mod throttle;
mod user;

use std::time::Duration;

use luoyun_common::envelope::Context;
use luoyun_common::session::{Entry, Key, Sessions};
use luoyun_common::{Error, Params, Reply, best_effort, clock, db, serve};
use luoyun_password::Verdict;
use serde::Serialize;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;

use crate::admission::Admission;
use crate::client::Client;
use crate::settings::Settings;
use crate::throttle::Throttle;

const ENDPOINT: &str = "login";

/// Delay of the refusal to a client that has to wait: without it, 8 connections keep two
/// processors busy; with it, they send 40 requests per second.
const REFUSAL_DELAY: Duration = Duration::from_millis(200);

#[derive(Serialize)]
struct Login {
    session_key: String,
}

fn login(params: &Params, client: Result<Client, Error>) -> Result<Reply<Login>, Error> {
    let client = client?;
    let username = params
        .text("username")
        .ok_or(Error::InvalidParameter { name: "username", expected: "the name of a user" })?;
    let password = params
        .bytes("password")
        .ok_or(Error::InvalidParameter { name: "password", expected: "the user's password" })?;
    let settings = Settings::read()?;
    let reply = log_in(&username, &password, &client, &settings);
    if matches!(reply, Err(Error::TooManyAttempts { .. })) {
        clock::sleep(REFUSAL_DELAY);
    }
    reply
}

fn log_in(
    username: &str,
    password: &[u8],
    client: &Client,
    settings: &Settings,
) -> Result<Reply<Login>, Error> {
    let Settings { strength, max_sessions, .. } = *settings;
    let admission = Admission::new(strength);
    let (db, throttle, found) = loop {
        admission.wait()?;
        let throttle = Throttle::new(username, client, &settings.throttle, clock::now());
        let db = db::open()?;
        let found = user::find(&db, username, &throttle, max_sessions)?;
        // Other logins may have been admitted since.
        if admission.is_free() {
            break (db, throttle, found);
        }
    };
    let stored = found.user.as_ref().map(|user| user.password.as_str());
    let verdict =
        luoyun_password::verify(stored, password, strength).context("verify the password")?;
    let user = match found.user {
        Some(user) if verdict != Verdict::Wrong => user,
        _ => {
            if throttle.count_failure(&db)? {
                best_effort(ENDPOINT, || throttle.sweep(&db));
            }
            return Err(Error::AuthFailed);
        }
    };
    // Before the session's row: otherwise a right guess for a weak form, which is verified
    // without a derivation, would overtake the simultaneous wrong ones.
    let is_weak = verdict == Verdict::RightButWeak;
    let strong = is_weak.then(|| user::encode(password, strength)).transpose()?;
    if user.is_locked {
        throttle.check_again(&db)?;
        return Err(Error::UserLocked);
    }

    let key = Key::generate();
    let expires_at = clock::now().saturating_add(settings.session_ttl.into());
    let entry = Entry { user_id: user.id, expires_at, epoch: user.epoch };
    // The first `last_login` makes the row longer. SQLite may then move other rows, also those
    // with weak passwords.
    if is_weak || user.is_new {
        user::overwrite_deleted(&db);
    }
    session::insert(&db, &key, &entry, &throttle)?;
    let sessions = Sessions::open()?;
    sessions.set(&key.digest, &entry)?;

    // Expired sessions can wait for another login, so that none takes long.
    if found.has_surplus || (found.has_expired && !is_weak && !user.is_new) {
        best_effort(ENDPOINT, || {
            session::delete_ended(&db, &sessions, &entry, max_sessions, throttle.now)
        });
    }
    if found.has_failures {
        best_effort(ENDPOINT, || throttle.forget(&db));
    }
    if let Some(strong) = strong {
        best_effort(ENDPOINT, || user::upgrade_password(&db, user, strong));
    }
    Ok(Reply::new("Welcome to LYC.", Login { session_key: key.text }))
}

#[http_component]
fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
    let client = client::client(&request);
    serve(ENDPOINT, request, response_out, |params| login(params, client));
}
