//! `Reply` and `Error`: everything a client can be told.

use std::borrow::Cow;
use std::fmt;

use http::{HeaderName, StatusCode, header};
use serde::Serialize;

/// The answer to a request that was done: `code` 0, `desc`, and the endpoint's
/// own fields beside them.
#[derive(Debug, Serialize)]
pub struct Reply<T> {
    code: u8,
    desc: Cow<'static, str>,
    #[serde(flatten)]
    fields: T,
}

impl<T: Serialize> Reply<T> {
    /// A reply whose `desc` is one English sentence for a person, and whose
    /// `fields` (a struct) stand beside it.
    pub fn new(desc: impl Into<Cow<'static, str>>, fields: T) -> Self {
        Self { code: 0, desc: desc.into(), fields }
    }

    /// The reply's JSON, or `Internal` where a field cannot be written as such.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|cause| Error::Internal(anyhow::Error::new(cause)))
    }
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
    /// A store failed. The cause is for the log; the client is told nothing of it.
    Internal(anyhow::Error),
}

impl Error {
    /// The stable word for a program: the reply's `error`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::AuthFailed => "auth_failed",
            Self::UserLocked => "user_locked",
            Self::AuthRequired => "auth_required",
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
    pub(crate) fn field(&self) -> Option<(HeaderName, String)> {
        match self {
            Self::TooManyAttempts { retry_after } => {
                Some((header::RETRY_AFTER, retry_after.to_string()))
            }
            Self::MethodNotAllowed { allow } => Some((header::ALLOW, (*allow).to_owned())),
            _ => None,
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
            Self::AuthRequired => {
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

impl From<anyhow::Error> for Error {
    fn from(cause: anyhow::Error) -> Self {
        Self::Internal(cause)
    }
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
    }

    #[test]
    fn a_refusal_begins_with_code_and_desc_and_ends_with_its_word() {
        assert_eq!(
            text(Error::InstanceNotOwned(5).to_json()),
            r#"{"code":1,"desc":"Instance 5 is someone else's","error":"instance_not_owned"}"#
        );
    }

    #[test]
    fn an_internal_refusal_says_nothing_of_its_cause() {
        let error = Error::from(anyhow::Error::msg("disk I/O error"));
        assert!(!text(error.to_json()).contains("disk"));
        assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
