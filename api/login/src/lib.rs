//! `POST /api/login`: a user name and a password for a session key.
//!
//! - [`client`]: the network that a request comes from
//! - [`settings`]: what an operator may set
//! - [`throttle`]: failed logins, counted
//! - [`user`]: the user, and the stored password
//! - [`session`]: the start of a session, and the end of expired ones

mod client;
mod session;
mod settings;
mod throttle;
mod user;

use std::time::Duration;

use luoyun_common::clock::{self, Moment};
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

/// A query that takes longer than this waits for a processor rather than for the database.
const SLOW_QUERY: Duration = Duration::from_millis(10);

/// The longest time by which a derivation is deferred, for each block that it computes: some 20
/// times what the block takes.
const MAX_DEFERRAL: Duration = Duration::from_micros(25);

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
    let Settings { session_ttl, strength, throttle: limits } = Settings::read()?;
    let network = client.network()?;

    let db = db::open()?;
    let throttle = Throttle::new(&username, &network, clock::now());
    let start = Moment::now();
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
    // The first `last_login` makes the row longer, which may move others, of users with weak
    // passwords.
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
    // One kind of housekeeping a login, so that none takes long.
    if found.has_expired_sessions && !is_weak && !found.has_failures {
        session::sweep(&db, &sessions, throttle.now)?;
    }
    Ok(Reply::new("Welcome to LYC.", Login { session_key: key.text }))
}

/// Waits before a derivation, while the host's threads are so busy that a query took `query`.
///
/// A derivation holds a thread to its end, so logins at the same moment would make every other
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
