//! `Reply` and `Error`: everything a client can be told.

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;
use serde::Serialize;

/// The answer to a request that was done: `code` 0, `desc`, and the endpoint's
/// own fields beside them.
#[derive(Debug)]
pub struct Reply<T> {
    desc: Cow<'static, str>,
    json: Option<(&'static str, String)>,
    fields: T,
}

impl<T: Serialize> Reply<T> {
    /// A reply whose `desc` is one English sentence for a person, and whose
    /// `fields` (a struct) stand beside it.
    pub fn new(desc: impl Into<Cow<'static, str>>, fields: T) -> Self {
        Self { desc: desc.into(), json: None, fields }
    }

    /// The reply with one more field before the others, whose value is JSON already.
    #[must_use]
    pub fn with_json(self, name: &'static str, json: String) -> Self {
        Self { json: Some((name, json)), ..self }
    }

    /// The reply's JSON, or `Internal` where a field cannot be written as such.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>, Error> {
        // By hand, as `#[serde(flatten)]` would be half as fast.
        let json = self.json.as_ref().map_or(0, |(_, json)| json.len());
        let mut out = Vec::with_capacity(json + 512);
        out.extend_from_slice(br#"{"code":0,"desc":"#);
        write(&mut out, &self.desc)?;
        if let Some((name, json)) = &self.json {
            for part in [r#",""#, name, r#"":"#, json] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        let fields = out.len();
        write(&mut out, &self.fields)?;
        match &mut out[fields..] {
            [b'{', b'}'] => drop(out.remove(fields)),
            [brace, ..] => *brace = b',',
            [] => {}
        }
        Ok(out)
    }
}

fn write(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
    // The cause is not told: the texts of serde_json's errors are 4 KB a module.
    serde_json::to_writer(out, value).map_err(|_| Error::Internal("write the reply".to_owned()))
}

/// Why a request was refused: a variant for each `error` word of CONTRACT.md
/// that a component can give. `Display` is the reply's `desc`.
#[derive(Debug)]
pub enum Error {
    /// Wrong user name or wrong password: one answer for both.
    AuthFailed,
    /// The password is right, but the user is locked.
    UserLocked,
    /// `session_key` is missing, unknown, expired or revoked, or its user is
    /// locked or gone.
    AuthRequired,
    /// As [`Self::AuthRequired`], as nothing can be read in the session's entry.
    SessionCorrupted,
    /// The parameter `name` is missing or malformed.
    InvalidParameter {
        /// The parameter's name.
        name: &'static str,
        /// What it takes: the end of the sentence "`name` must be …".
        takes: &'static str,
    },
    /// No instance has this id, or it is deleted.
    InstanceNotFound(i64),
    /// The instance with this id belongs to another user.
    InstanceNotOwned(i64),
    /// Login is throttled for the user name and the client's address.
    TooManyAttempts {
        /// Seconds until the next try.
        retry_after: i64,
    },
    /// Another method than those that are allowed.
    MethodNotAllowed {
        /// The value of `Allow`.
        allow: &'static str,
    },
    /// A body that does not say it is `application/x-www-form-urlencoded`.
    UnsupportedMediaType,
    /// A body of more than 64 KiB.
    BodyTooLarge,
    /// A store failed. What was tried and why it failed are for the log; the client
    /// is told nothing of it.
    Internal(String),
}

impl Error {
    /// The stable word for a program: the reply's `error`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::AuthFailed => "auth_failed",
            Self::UserLocked => "user_locked",
            Self::AuthRequired | Self::SessionCorrupted => "auth_required",
            Self::InvalidParameter { .. } => "invalid_parameter",
            Self::InstanceNotFound(_) => "instance_not_found",
            Self::InstanceNotOwned(_) => "instance_not_owned",
            Self::TooManyAttempts { .. } => "too_many_attempts",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::BodyTooLarge => "body_too_large",
            Self::Internal(_) => "internal",
        }
    }

    /// The HTTP status: 200 for every refusal that the design document
    /// describes, as the original answers, and its own for the others.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooManyAttempts { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::OK,
        }
    }

    /// The header field that this refusal has and others have not.
    pub(crate) fn field(&self) -> Option<(&'static str, String)> {
        match self {
            Self::TooManyAttempts { retry_after } => Some(("retry-after", retry_after.to_string())),
            Self::MethodNotAllowed { allow } => Some(("allow", (*allow).to_owned())),
            _ => None,
        }
    }

    /// Whether an operator has to know of it.
    pub(crate) fn is_logged(&self) -> bool {
        matches!(self, Self::Internal(_) | Self::SessionCorrupted | Self::TooManyAttempts { .. })
    }

    /// The line for the log: `key=value` pairs with spaces between.
    pub(crate) fn log_line(&self, endpoint: &str, microseconds: u64) -> String {
        let word = self.word();
        let line = format!("endpoint={endpoint} error={word} duration_us={microseconds}");
        match self {
            Self::Internal(cause) => format!("{line} cause={cause:?}"),
            Self::SessionCorrupted => format!("{line} cause=\"corrupted session entry\""),
            _ => line,
        }
    }

    /// The refusal's JSON.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let refusal = Refusal { code: 1, desc: &self.to_string(), error: self.word() };
        // Three plain fields: there is nothing in them that cannot be written.
        serde_json::to_vec(&refusal).unwrap_or_default()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AuthFailed => f.write_str("The user name or the password is wrong."),
            Self::UserLocked => f.write_str("The user is locked."),
            Self::AuthRequired | Self::SessionCorrupted => {
                f.write_str("A valid session_key is required. Log in to get one.")
            }
            Self::InvalidParameter { name, takes } => write!(f, "{name} must be {takes}."),
            Self::InstanceNotFound(id) => write!(f, "Instance {id} does not exist"),
            Self::InstanceNotOwned(id) => write!(f, "Instance {id} is someone else's"),
            Self::TooManyAttempts { retry_after } => {
                write!(f, "Too many wrong passwords. Try again in {retry_after} seconds.")
            }
            Self::MethodNotAllowed { allow } => write!(f, "Use {allow}."),
            Self::UnsupportedMediaType => {
                f.write_str("Send the body as application/x-www-form-urlencoded.")
            }
            Self::BodyTooLarge => f.write_str("The body must be at most 64 KiB."),
            Self::Internal(_) => {
                f.write_str("Something went wrong on the server. Try again later.")
            }
        }
    }
}

/// Says what was tried when something of the host's failed. (anyhow does this too, and
/// brings up to 65 KB into a module, for printing backtraces.)
pub(crate) trait Context<T> {
    /// The value, or `Internal` with what was `tried` and the cause.
    fn context(self, tried: &str) -> Result<T, Error>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn context(self, tried: &str) -> Result<T, Error> {
        self.map_err(|cause| failed(tried, &cause))
    }
}

#[cold]
fn failed(tried: &str, cause: &dyn fmt::Display) -> Error {
    Error::Internal(format!("{tried}: {cause}"))
}

#[derive(Serialize)]
struct Refusal<'a> {
    code: u8,
    desc: &'a str,
    error: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Fields {
        port: Option<i64>,
    }

    #[derive(Serialize)]
    struct Nothing {}

    fn text(json: Vec<u8>) -> String {
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn a_reply_begins_with_code_and_desc() {
        let reply = Reply::new("Information about \"x\"", Fields { port: None });
        assert_eq!(
            text(reply.to_json().unwrap()),
            r#"{"code":0,"desc":"Information about \"x\"","port":null}"#
        );
        assert_eq!(
            text(reply.with_json("list", "[1]".to_owned()).to_json().unwrap()),
            r#"{"code":0,"desc":"Information about \"x\"","list":[1],"port":null}"#
        );
        let reply = Reply::new("Bye.", Nothing {});
        assert_eq!(text(reply.to_json().unwrap()), r#"{"code":0,"desc":"Bye."}"#);
    }

    #[test]
    fn a_refusal_begins_with_code_and_desc_and_ends_with_its_word() {
        assert_eq!(
            text(Error::InstanceNotOwned(5).to_json()),
            r#"{"code":1,"desc":"Instance 5 is someone else's","error":"instance_not_owned"}"#
        );
    }

    #[test]
    fn a_log_line_is_one_line_of_pairs() {
        let error = Error::Internal("find the user: Io(\"a\\nb\")\n".to_owned());
        assert_eq!(
            error.log_line("login", 7),
            r#"endpoint=login error=internal duration_us=7 cause="find the user: Io(\"a\\nb\")\n""#
        );
    }

    #[test]
    fn an_internal_refusal_says_nothing_of_its_cause() {
        let error = Error::Internal("disk I/O error".to_owned());
        assert!(!text(error.to_json()).contains("disk"));
        assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
