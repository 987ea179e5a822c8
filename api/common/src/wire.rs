//! HTTP: reads requests within limits, and sends each response in one write.

mod media_type;
#[cfg(feature = "wasi03")]
pub(crate) mod wasi03;

use std::time::Duration;

use http::StatusCode;
use percent_encoding::percent_decode;
use spin_sdk::http::{
    Headers, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasi::io::poll::poll;
use wasi::io::streams::StreamError;

use crate::{Error, Params, clock};

/// Largest accepted body, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The time within which a body has to arrive. Until then, a request without its body keeps an
/// instance, of which Spin has 1,000.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The time from the end of a request whose body is not read to its refusal. In it, the host notices
/// that it has to close the connection, and then says so in the response.
const UNREAD_DELAY: Duration = Duration::from_millis(20);

/// Largest blocking write of `wasi:io/streams`, in bytes.
const MAX_BLOCKING_WRITE: usize = 4096;

/// Reads a form. Checks method, content type and size, in this order.
///
/// # Errors
/// `MethodNotAllowed`, `UnsupportedMediaType`, `UnsupportedCharset`, `BodyTooLarge`;
/// `RequestTimeout` if the body does not arrive within [`BODY_TIMEOUT`]; `InvalidParameter` if it is
/// incomplete.
pub(crate) fn read_form(request: IncomingRequest) -> Result<Params, Error> {
    let headers = request.headers();
    let is_post = matches!(request.method(), Method::Post);
    let form = Incoming::form(is_post, |name| headers.get(name));
    drop(headers);
    let path_with_query = request.path_with_query();
    read(form, request)?.params(path_with_query)
}

/// Reads a request for a page, and ignores its body.
///
/// # Errors
/// `MethodNotAllowed` unless it is `GET` or `HEAD`, `BodyTooLarge`, `RequestTimeout`, or
/// `InvalidParameter`, as [`read_form`] does.
pub fn read_page_request(request: IncomingRequest) -> Result<(), Error> {
    let is_allowed = matches!(request.method(), Method::Get | Method::Head);
    let method = (!is_allowed).then_some(Error::MethodNotAllowed { allow: "GET, HEAD" });
    let headers = request.headers();
    let page = Incoming::new(method, Ok(false), |name| headers.get(name));
    drop(headers);
    read(page, request)?.body().map(drop)
}

/// Reads the body of `request`. If that fails, the request ends before this returns.
fn read(incoming: Result<Incoming, Error>, request: IncomingRequest) -> Result<Incoming, Error> {
    let outcome = incoming.and_then(|mut incoming| {
        incoming.read_body(request).map_err(|error| incoming.refusal(error))?;
        Ok(incoming)
    });
    outcome.inspect_err(|_| clock::sleep(UNREAD_DELAY))
}

/// A request whose body is arriving.
///
/// A request that is refused for its method or type is answered once its body has arrived: to a
/// client that is still sending, the connection would be reset, and the response lost. One with a
/// body that is too large is answered at once.
struct Incoming {
    /// What is wrong with the method.
    method: Option<Error>,
    /// What is wrong with the type of the body, if it has one.
    media_type: Option<Error>,
    /// Whether the body has to be ASCII.
    is_ascii: bool,
    body: Vec<u8>,
}

impl Incoming {
    /// A form with the values that `get` returns for a header field.
    fn form(is_post: bool, get: impl Fn(&str) -> Vec<Vec<u8>>) -> Result<Self, Error> {
        let method = (!is_post).then_some(Error::MethodNotAllowed { allow: "POST" });
        let is_uncompressed = get("content-encoding").iter().all(|value| is_uncompressed(value));
        let media_type = media_type::check(&get("content-type"));
        let media_type = media_type.filter(|_| is_uncompressed).ok_or(Error::UnsupportedMediaType);
        Self::new(method, media_type, get)
    }

    /// Fails if its declared length is too large.
    fn new(
        method: Option<Error>,
        is_ascii: Result<bool, Error>,
        get: impl Fn(&str) -> Vec<Vec<u8>>,
    ) -> Result<Self, Error> {
        let (is_ascii, media_type) = match is_ascii {
            Ok(is_ascii) => (is_ascii, None),
            Err(error) => (false, Some(error)),
        };
        let mut request = Self { method, media_type, is_ascii, body: Vec::new() };
        // The body of a request that is also chunked may have another length.
        let declared = get("content-length").pop();
        let declared = declared.and_then(|value| str::from_utf8(&value).ok()?.parse().ok());
        if declared.is_some_and(|length: u64| length > MAX_BODY_BYTES as u64) {
            return Err(request.refusal(Error::BodyTooLarge));
        }
        Ok(request)
    }

    /// The first of the contract's checks that fails: an earlier one, or else `error`.
    fn refusal(&mut self, error: Error) -> Error {
        self.method.take().or(self.media_type.take()).unwrap_or(error)
    }

    fn read_body(&mut self, request: IncomingRequest) -> Result<(), Error> {
        let deadline = clock::after(BODY_TIMEOUT);
        let incoming = request.consume().map_err(|()| incomplete())?;
        let stream = incoming.stream().map_err(|()| incomplete())?;
        let readable = stream.subscribe();
        loop {
            match stream.read(MAX_BODY_BYTES as u64) {
                Ok(chunk) if chunk.is_empty() => drop(poll(&[&readable, &deadline])),
                Ok(chunk) => self.push(chunk)?,
                Err(StreamError::Closed) => return Ok(()),
                Err(_) => return Err(incomplete()),
            }
            if deadline.ready() {
                return Err(Error::RequestTimeout);
            }
        }
    }

    /// Adds a part of the body.
    fn push(&mut self, chunk: Vec<u8>) -> Result<(), Error> {
        if self.body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(Error::BodyTooLarge);
        }
        if self.body.is_empty() {
            self.body = chunk;
        } else {
            self.body.extend_from_slice(&chunk);
        }
        Ok(())
    }

    /// The complete body.
    fn body(self) -> Result<Vec<u8>, Error> {
        let Self { method, media_type, is_ascii, body } = self;
        if let Some(error) = method.or(media_type.filter(|_| !body.is_empty())) {
            return Err(error);
        }
        if is_ascii && !percent_decode(&body).all(|byte| byte.is_ascii()) {
            return Err(Error::UnsupportedCharset);
        }
        Ok(body)
    }

    fn params(self, path_with_query: Option<String>) -> Result<Params, Error> {
        let path_with_query = path_with_query.unwrap_or_default();
        let query = path_with_query.split_once('?').map_or("", |(_, query)| query);
        Ok(Params::new(query, self.body()?))
    }
}

fn incomplete() -> Error {
    Error::InvalidParameter { name: "The body", expected: "complete" }
}

/// Whether `content_encoding` names no encoding but `identity` (RFC 9110, 8.4.1).
fn is_uncompressed(content_encoding: &[u8]) -> bool {
    let mut encodings = content_encoding.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    encodings.all(|encoding| encoding.is_empty() || encoding.eq_ignore_ascii_case(b"identity"))
}

/// A JSON response.
pub(crate) struct Json {
    status: StatusCode,
    body: Vec<u8>,
    /// A header field beside those of every response.
    extra: Option<(&'static str, String)>,
}

impl Json {
    /// A reply.
    pub(crate) fn new(body: Vec<u8>) -> Self {
        Self { status: StatusCode::OK, body, extra: None }
    }

    /// A refusal.
    pub(crate) fn refusal(error: &Error) -> Self {
        let (status, body) = error.response();
        Self { status, body, extra: error.field() }
    }

    /// The header fields.
    fn fields(&self) -> Vec<(String, Vec<u8>)> {
        let length = self.body.len().to_string();
        let fields = [
            ("content-type", "application/json"),
            ("content-length", &length),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ];
        let extra = self.extra.as_ref().map(|(name, value)| (*name, value.as_str()));
        owned(fields.into_iter().chain(extra))
    }

    /// Sends it.
    pub(crate) fn send(self, response_out: ResponseOutparam) {
        send_fields(response_out, self.status, &self.fields(), &self.body);
    }
}

fn owned<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<(String, Vec<u8>)> {
    let fields = fields.into_iter();
    fields.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect()
}

/// Sends a refusal.
pub fn refuse(response_out: ResponseOutparam, error: &Error) {
    Json::refusal(error).send(response_out);
}

/// Sends a response.
///
/// The body is written before the response is set, so that header and body leave in one TCP
/// segment. In two segments, Nagle's algorithm and the client's delayed ACK delay every
/// response on a kept-alive connection by up to 40 ms.
pub fn respond<'a>(
    response_out: ResponseOutparam,
    status: StatusCode,
    fields: impl IntoIterator<Item = (&'a str, &'a str)>,
    body: &[u8],
) {
    send_fields(response_out, status, &owned(fields), body);
}

fn send_fields(
    response_out: ResponseOutparam,
    status: StatusCode,
    fields: &[(String, Vec<u8>)],
    body: &[u8],
) {
    // The fields are well-formed and the status is in range, so the host accepts both. If it
    // rejected the fields, the response would have none. A new response has status 200.
    let headers = Headers::from_list(fields).unwrap_or_else(|_| Headers::new());
    let response = OutgoingResponse::new(headers);
    if status != StatusCode::OK {
        let _ = response.set_status_code(status.as_u16());
    }

    // An error means that the client closed the connection.
    let _ = send(response_out, response, body);
}

fn send(response_out: ResponseOutparam, response: OutgoingResponse, body: &[u8]) -> Option<()> {
    let outgoing = response.body().ok()?;
    let stream = outgoing.write().ok()?;
    if stream.check_write().ok()? >= body.len() as u64 {
        stream.write(body).ok()?;
        drop(stream);
        OutgoingBody::finish(outgoing, None).ok()?;
        response_out.set(response);
    } else {
        // More than the host's buffer holds (1 MiB in Spin). The host empties it only after the
        // response is set, so the header has to go first.
        response_out.set(response);
        for chunk in body.chunks(MAX_BLOCKING_WRITE) {
            stream.blocking_write_and_flush(chunk).ok()?;
        }
        drop(stream);
        OutgoingBody::finish(outgoing, None).ok()?;
    }
    Some(())
}

/// Writes one line to the component's log (stderr), in one write.
pub fn log(line: &str) {
    use std::io::Write;
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
