//! HTTP: reads requests within limits, and sends each response in one write.

use http::StatusCode;
use spin_sdk::http::{
    Headers, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasi::io::streams::StreamError;

use crate::{Error, Params};

/// Largest accepted body, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Largest blocking write of `wasi:io/streams`, in bytes.
const MAX_BLOCKING_WRITE: usize = 4096;

const FORM: &str = "application/x-www-form-urlencoded";

/// Reads a request. Checks method, content type and size, in this order.
///
/// # Errors
/// `MethodNotAllowed`, `UnsupportedMediaType`, `BodyTooLarge`;
/// `InvalidParameter` if the body is incomplete.
pub(crate) fn read_form(request: &IncomingRequest) -> Result<Params, Error> {
    if !matches!(request.method(), Method::Post) {
        return Err(Error::MethodNotAllowed { allow: "POST" });
    }
    let headers = request.headers();
    let is_form = match first(&headers, "content-type") {
        Some(value) => is_form(&value),
        None => true,
    };
    let declared = first(&headers, "content-length")
        .and_then(|value| str::from_utf8(&value).ok()?.parse().ok());
    drop(headers);

    let body = read_body(request, is_form, declared)?;
    let path_with_query = request.path_with_query().unwrap_or_default();
    let query = path_with_query.split_once('?').map_or("", |(_, query)| query);
    Ok(Params::new(query, body))
}

fn first(headers: &Headers, name: &str) -> Option<Vec<u8>> {
    headers.get(name).into_iter().next()
}

fn is_form(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|&byte| byte == b';').next();
    let media_type = media_type.unwrap_or_default().trim_ascii();
    media_type.is_empty() || media_type.eq_ignore_ascii_case(FORM.as_bytes())
}

/// Reads the body, and stops as soon as it is refused. `declared` is its `Content-Length`, in
/// bytes, if there is one: the host enforces it.
fn read_body(
    request: &IncomingRequest,
    is_form: bool,
    declared: Option<u64>,
) -> Result<Vec<u8>, Error> {
    if declared == Some(0) {
        return Ok(Vec::new());
    }
    if !is_form && declared.is_some() {
        return Err(Error::UnsupportedMediaType);
    }
    if declared.is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        return Err(Error::BodyTooLarge);
    }

    let incomplete = || Error::InvalidParameter { name: "The body", expected: "complete" };
    let incoming = request.consume().map_err(|()| incomplete())?;
    let stream = incoming.stream().map_err(|()| incomplete())?;
    let mut body = Vec::new();
    while declared != Some(body.len() as u64) {
        let chunk = match stream.blocking_read(MAX_BODY_BYTES as u64) {
            Ok(chunk) => chunk,
            Err(StreamError::Closed) => break,
            Err(_) => return Err(incomplete()),
        };
        if !is_form && !chunk.is_empty() {
            return Err(Error::UnsupportedMediaType);
        }
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(Error::BodyTooLarge);
        }
        if body.is_empty() {
            body = chunk;
        } else {
            body.extend_from_slice(&chunk);
        }
    }
    Ok(body)
}

/// Sends a JSON response. `extra` is a header field beside those of every response.
pub(crate) fn respond_json(
    response_out: ResponseOutparam,
    status: StatusCode,
    extra: Option<(&str, String)>,
    body: &[u8],
) {
    let length = body.len().to_string();
    let fields = [
        ("content-type", "application/json"),
        ("content-length", &length),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ];
    let extra = extra.as_ref().map(|(name, value)| (*name, value.as_str()));
    respond(response_out, status, fields.into_iter().chain(extra), body);
}

/// Sends a refusal.
pub fn refuse(response_out: ResponseOutparam, error: &Error) {
    let (status, body) = error.response();
    respond_json(response_out, status, error.field(), &body);
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
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .collect();
    // The fields are well-formed and the status is in range, so the host accepts both. If it
    // rejected the fields, the response would have none. A new response has status 200.
    let headers = Headers::from_list(&fields).unwrap_or_else(|_| Headers::new());
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
