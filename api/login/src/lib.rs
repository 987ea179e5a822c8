//! `POST /api/login`: verifies a password, and returns a session key.

mod client;
mod session;
mod settings;
mod throttle;
mod user;

use std::time::Duration;

use luoyun_common::envelope::Context;
use luoyun_common::session::{Entry, Key, Sessions};
use luoyun_common::{Error, Params, Reply, clock, db, serve};
use luoyun_password::{Strength, Verdict};
use serde::Serialize;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;

use crate::settings::Settings;
use crate::throttle::Throttle;

/// Delay of the refusal to a client that has to wait: without it, 8 connections keep two
/// processors busy; with it, they send 40 requests per second.
const REFUSAL_DELAY: Duration = Duration::from_millis(200);

/// A sleep that shows whether the host's threads are busy, by how late it ends. Timers of the host
/// have a resolution of 1 ms, so it usually takes that long.
const PROBE: Duration = Duration::from_micros(100);

/// A probe that ends later than this has waited for a thread.
const BUSY_DELAY: Duration = Duration::from_millis(10);

/// Longest deferral of a derivation, per block that it computes: about 20 times the time that
/// the block takes.
const DEFERRAL_PER_BLOCK: Duration = Duration::from_micros(25);

/// Longest deferral of a derivation, whatever its strength.
const MAX_DEFERRAL: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Login {
    session_key: String,
}

fn login(params: &Params, network: Result<String, Error>) -> Result<Reply<Login>, Error> {
    let username = params
        .text("username")
        .ok_or(Error::InvalidParameter { name: "username", expected: "the name of a user" })?;
    let password = params
        .bytes("password")
        .ok_or(Error::InvalidParameter { name: "password", expected: "the user's password" })?;
    let settings = Settings::read()?;
    let network = network?;

    // No sleep while the database is open: a waiting login would keep its files open too.
    defer_derivation(settings.strength);
    let reply = log_in(username, &password, &network, &settings);
    if matches!(reply, Err(Error::TooManyAttempts { .. })) {
        clock::sleep(REFUSAL_DELAY);
    }
    reply
}

fn log_in(
    username: String,
    password: &[u8],
    network: &str,
    settings: &Settings,
) -> Result<Reply<Login>, Error> {
    let strength = settings.strength;
    let db = db::open()?;
    let throttle = Throttle::new(&username, network, clock::now());
    let found = user::find(&db, username, &throttle)?;
    let stored = found.user.as_ref().map(|user| user.password.as_str());
    let verdict =
        luoyun_password::verify(stored, password, strength).context("verify the password")?;
    let user = match found.user {
        Some(user) if verdict != Verdict::Wrong => user,
        _ => {
            throttle.count_failure(&db, &settings.throttle)?;
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
    if let Some(strong) = strong {
        user::upgrade_password(&db, user, strong)?;
    }
    if found.has_failures {
        throttle.forget(&db)?;
    }
    // Each login does one kind of housekeeping, so that none takes long.
    if found.has_expired_sessions && !is_weak && !found.has_failures {
        session::sweep(&db, &sessions, throttle.now)?;
    }
    Ok(Reply::new("Welcome to LYC.", Login { session_key: key.text }))
}

/// Delays a derivation of `strength` while the host's threads are busy.
///
/// A derivation occupies a thread until it ends, so simultaneous logins would make every other
/// request wait for all of them. A short derivation is not delayed.
fn defer_derivation(strength: Strength) {
    let limit = (DEFERRAL_PER_BLOCK * strength.work()).min(MAX_DEFERRAL);
    if limit < BUSY_DELAY {
        return;
    }
    let expected = clock::monotonic().saturating_add(PROBE);
    clock::sleep(PROBE);
    let delay = clock::monotonic().saturating_sub(expected);
    if delay > BUSY_DELAY {
        clock::sleep((delay * 8).min(limit));
    }
}

#[http_component]
fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
    let network = client::network(&request);
    serve("login", request, response_out, |params| login(params, network));
}
