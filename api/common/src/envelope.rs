//! `Reply` and `Error`: every response of an endpoint.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

/// The response to a successful request: `code` 0, `desc`, and the endpoint's own fields
/// beside them.
#[derive(Debug, Serialize)]
pub struct Reply<T> {
    code: u8,
    desc: Cow<'static, str>,
    #[serde(flatten)]
    fields: T,
}

impl<T: Serialize> Reply<T> {
    /// A reply with `desc`, one English sentence for a person, and `fields`, a struct.
    pub fn new(desc: impl Into<Cow<'static, str>>, fields: T) -> Self {
        Self { code: 0, desc: desc.into(), fields }
    }
}

/// Why a request was refused: a variant for each `error` word of docs/contract.md that a
/// component can give. `Display` is the reply's `desc`.
#[derive(Debug)]
pub enum Error {
    /// Wrong user name or wrong password.
    AuthFailed,
    /// The password is right, but the user is locked.
    UserLocked,
    /// `session_key` is missing, unknown, expired or revoked, or its user is locked or gone.
    AuthRequired,
    /// The session's entry is corrupted. The client gets the reply of [`Self::AuthRequired`].
    SessionCorrupted,
    /// A parameter is missing or malformed.
    InvalidParameter {
        /// The parameter's name.
        name: &'static str,
        /// The accepted values: the end of the sentence "`name` must be …".
        expected: &'static str,
    },
    /// No instance has this id, or it is deleted.
    InstanceNotFound(i64),
    /// The instance with this id belongs to another user.
    InstanceNotOwned(i64),
    /// Logins are throttled for the user name or the client's address.
    TooManyAttempts {
        /// Seconds until the next attempt is accepted.
        retry_after: i64,
    },
    /// The host has no thread for the login's derivation.
    Busy,
    /// Another site's page sent the login.
    CrossSite,
    /// The method is not allowed.
    MethodNotAllowed {
        /// The value of `Allow`.
        allow: &'static str,
    },
    /// The body is not `application/x-www-form-urlencoded`, its charset does not agree with ASCII,
    /// or it is compressed.
    UnsupportedMediaType,
    /// The body is in another charset than UTF-8, and not ASCII.
    UnsupportedCharset,
    /// The body is larger than 64 KiB.
    BodyTooLarge,
    /// The body did not arrive in time.
    RequestTimeout,
    /// A store failed, or a variable is invalid. The text says which operation failed and why.
    /// It goes to the log, never to the client.
    Internal(String),
    /// A statement names a column that the database does not have. The text is as in
    /// [`Self::Internal`].
    SchemaOutdated(String),
}

impl Error {
    /// The reply's `error`, its HTTP status and its `desc`. The status is 200 for every refusal
    /// that the design document describes.
    fn reply(&self) -> (&'static str, StatusCode, Cow<'static, str>) {
        const OK: StatusCode = StatusCode::OK;
        match self {
            Self::AuthFailed => {
                ("auth_failed", OK, "The user name or the password is wrong.".into())
            }
            Self::UserLocked => ("user_locked", OK, "The user is locked.".into()),
            Self::AuthRequired | Self::SessionCorrupted => {
                ("auth_required", OK, "A valid session_key is required. Log in to get one.".into())
            }
            Self::InvalidParameter { name, expected } => {
                ("invalid_parameter", OK, format!("{name} must be {expected}.").into())
            }
            Self::InstanceNotFound(id) => {
                ("instance_not_found", OK, format!("Instance {id} does not exist").into())
            }
            Self::InstanceNotOwned(id) => {
                ("instance_not_owned", OK, format!("Instance {id} is someone else's").into())
            }
            Self::TooManyAttempts { retry_after } => (
                "too_many_attempts",
                StatusCode::TOO_MANY_REQUESTS,
                format!("Too many wrong passwords. Try again in {retry_after} seconds.").into(),
            ),
            Self::Busy => (
                "busy",
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many people are logging in. Try again in a second.".into(),
            ),
            Self::CrossSite => {
                ("cross_site", StatusCode::FORBIDDEN, "Pages of other sites may not log in.".into())
            }
            Self::MethodNotAllowed { allow } => (
                "method_not_allowed",
                StatusCode::METHOD_NOT_ALLOWED,
                format!("Use {allow}.").into(),
            ),
            Self::UnsupportedMediaType => (
                "unsupported_media_type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Send the body as application/x-www-form-urlencoded, in UTF-8 and uncompressed."
                    .into(),
            ),
            Self::UnsupportedCharset => (
                "unsupported_media_type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "In another charset than UTF-8, the body must be ASCII.".into(),
            ),
            Self::BodyTooLarge => (
                "body_too_large",
                StatusCode::PAYLOAD_TOO_LARGE,
                "The body must be at most 64 KiB.".into(),
            ),
            Self::RequestTimeout => (
                "request_timeout",
                StatusCode::REQUEST_TIMEOUT,
                "The body must arrive within 10 seconds.".into(),
            ),
            Self::Internal(_) => (
                "internal",
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something went wrong on the server. Try again later.".into(),
            ),
            Self::SchemaOutdated(_) => (
                "internal",
                StatusCode::INTERNAL_SERVER_ERROR,
                "The database is of another version. Its operator finds what to do in \
                 docs/operations.md, \"Upgrades\"."
                    .into(),
            ),
        }
    }

    /// The header field that is specific to this refusal.
    pub(crate) fn field(&self) -> Option<(&'static str, String)> {
        match self {
            Self::TooManyAttempts { retry_after } => Some(("retry-after", retry_after.to_string())),
            Self::Busy => Some(("retry-after", "1".to_owned())),
            Self::MethodNotAllowed { allow } => Some(("allow", (*allow).to_owned())),
            _ => None,
        }
    }

    /// The log line, of `key=value` pairs; `None` if the refusal does not concern the
    /// operator.
    pub(crate) fn log_line(&self, endpoint: &str, time: Duration) -> Option<String> {
        let cause = match self {
            Self::Internal(cause) | Self::SchemaOutdated(cause) => cause,
            Self::SessionCorrupted => "corrupted session entry",
            _ => return None,
        };
        let ((word, ..), microseconds) = (self.reply(), time.as_micros());
        Some(format!("endpoint={endpoint} error={word} duration_us={microseconds} cause={cause:?}"))
    }

    /// The HTTP status and the body, as JSON.
    pub(crate) fn response(&self) -> (StatusCode, Vec<u8>) {
        let (error, status, desc) = self.reply();
        // Two strings and a number always serialize.
        let body = crate::json::to_ascii(&Refusal { code: 1, desc: &desc, error });
        (status, body.unwrap_or_default())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reply().2)
    }
}

/// Adds the failed operation to an error of the host. (anyhow does this too, but adds up to
/// 65 KB to a module, for printing backtraces.)
pub trait Context<T> {
    /// The value of an `Ok`.
    ///
    /// # Errors
    /// `Internal`, with the `operation` and the cause.
    fn context(self, operation: &str) -> Result<T, Error>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn context(self, operation: &str) -> Result<T, Error> {
        self.map_err(|cause| internal(operation, &cause))
    }
}

#[cold]
fn internal(operation: &str, cause: &dyn fmt::Display) -> Error {
    let cause = cause.to_string();
    // SQLite's messages.
    if cause.contains("no such column") || cause.contains("has no column") {
        let advice = "The database is of another version: docs/operations.md, Upgrades";
        return Error::SchemaOutdated(format!("{operation}: {cause}. {advice}"));
    }
    Error::Internal(format!("{operation}: {cause}"))
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

    fn body(error: &Error) -> String {
        String::from_utf8(error.response().1).unwrap()
    }

    #[test]
    fn a_reply_begins_with_code_and_desc() {
        let reply = Reply::new("Information about \"x\"", Fields { port: None });
        assert_eq!(
            serde_json::to_string(&reply).unwrap(),
            r#"{"code":0,"desc":"Information about \"x\"","port":null}"#
        );
        let reply = Reply::new("Bye.", Nothing {});
        assert_eq!(serde_json::to_string(&reply).unwrap(), r#"{"code":0,"desc":"Bye."}"#);
    }

    #[test]
    fn a_refusal_begins_with_code_and_desc_and_ends_with_its_word() {
        assert_eq!(
            body(&Error::InstanceNotOwned(5)),
            r#"{"code":1,"desc":"Instance 5 is someone else's","error":"instance_not_owned"}"#
        );
    }

    #[test]
    fn a_log_line_is_one_line_of_pairs() {
        let error = Error::Internal("find the user: Io(\"a\\nb\")\n".to_owned());
        assert_eq!(
            error.log_line("login", Duration::from_micros(7)).unwrap(),
            r#"endpoint=login error=internal duration_us=7 cause="find the user: Io(\"a\\nb\")\n""#
        );
    }

    #[test]
    fn an_internal_refusal_says_nothing_of_its_cause() {
        let error = Error::Internal("disk I/O error".to_owned());
        assert!(!body(&error).contains("disk"));
        assert_eq!(error.response().0, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
