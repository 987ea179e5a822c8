//! `POST /api/login`: verifies a password, and returns a session key.
//!
//! - [`client`]: the client's network
//! - [`settings`]: the variables that an operator may set
//! - [`throttle`]: counts failed logins, and makes clients wait
//! - [`user`]: the user, and the stored password
//! - [`session`]: inserts sessions, and sweeps expired ones

mod client;
mod session;
mod settings;
mod throttle;
mod user;

use std::time::Duration;

use luoyun_common::clock::{self, Instant};
use luoyun_common::envelope::Context;
use luoyun_common::session::{Entry, Key, Sessions};
use luoyun_common::{Error, Params, Reply, db, serve};
use luoyun_password::{Strength, Verdict};
use serde::Serialize;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;

use crate::client::Client;
use crate::settings::Settings;
use crate::throttle::Throttle;

/// A query that takes longer than this has waited for a processor rather than for the database.
const SLOW_QUERY: Duration = Duration::from_millis(10);

/// Longest delay of a derivation, per block that it computes: about 20 times the time that the
/// block takes.
const MAX_DEFERRAL: Duration = Duration::from_micros(25);

#[derive(Serialize)]
struct Login {
    session_key: String,
}

fn login(params: &Params, client: &Client) -> Result<Reply<Login>, Error> {
    let username = params
        .text("username")
        .ok_or(Error::InvalidParameter { name: "username", expected: "the name of a user" })?;
    let password = params
        .bytes("password")
        .ok_or(Error::InvalidParameter { name: "password", expected: "the user's password" })?;
    let Settings { session_ttl, strength, throttle: limits } = Settings::read()?;
    let network = client.network()?;

    let db = db::open()?;
    let throttle = Throttle::new(&username, &network, clock::now());
    let start = Instant::now();
    let found = user::find(&db, username, &throttle)?;
    defer_derivation(start.elapsed(), strength);
    let stored = found.user.as_ref().map(|user| user.password.as_str());
    let verdict =
        luoyun_password::verify(stored, &password, strength).context("verify the password")?;
    let user = match found.user {
        Some(user) if verdict != Verdict::Wrong => user,
        _ => {
            throttle.count_failure(&db, &limits)?;
            return Err(Error::AuthFailed);
        }
    };
    if user.is_locked {
        throttle.check_again(&db)?;
        return Err(Error::UserLocked);
    }

    let key = Key::generate();
    let expires_at = clock::now().saturating_add(session_ttl);
    let entry = Entry { user_id: user.id, expires_at, epoch: user.epoch };
    let is_weak = verdict == Verdict::RightButWeak;
    // The first `last_login` makes the row longer. SQLite may then move other rows, also those
    // with weak passwords.
    if is_weak || user.is_new {
        user::overwrite_deleted(&db);
    }
    session::insert(&db, &key, &entry, &throttle)?;
    if is_weak {
        user.upgrade_password(&db, &password, strength)?;
    }
    if found.has_failures {
        throttle.forget(&db)?;
    }
    let sessions = Sessions::open()?;
    sessions.set(&key.digest, &entry)?;
    // Each login does one kind of housekeeping, so that none takes long.
    if found.has_expired_sessions && !is_weak && !found.has_failures {
        session::sweep(&db, &sessions, throttle.now)?;
    }
    Ok(Reply::new("Welcome to LYC.", Login { session_key: key.text }))
}

/// Delays a derivation if the host's threads are busy: if the last query took longer than
/// [`SLOW_QUERY`]. `query` is the time that it took.
///
/// A derivation occupies a thread until it ends, so simultaneous logins would make every other
/// request wait for all of them.
fn defer_derivation(query: Duration, strength: Strength) {
    if query > SLOW_QUERY {
        clock::sleep((query * 8).min(MAX_DEFERRAL * strength.work()));
    }
}

#[http_component]
fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
    let client = Client::of(&request);
    serve("login", request, response_out, |params| login(params, &client));
}
