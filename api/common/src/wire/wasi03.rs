//! HTTP for an instance that serves many requests, one at a time (WASI 0.3).
//!
//! The host sends a response's header as soon as it can, and takes the body from the instance
//! afterwards. So that both leave in one TCP segment (see [`super::respond`]), the instance does
//! nothing between the two; and it yields before it calls a store and before it responds, so that it
//! continues on a thread of the host that has no other task at hand.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use http::StatusCode;
use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::http::types::{Fields, Method, Request, Response};
use wasip3::{wit_future, wit_stream};
use wit_bindgen::StreamResult;

use super::{BODY_TIMEOUT, Incoming, Json, UNREAD_DELAY, incomplete};
use crate::{Error, Params};

/// Bytes of a body that are read at a time: more than a usual request has.
const CHUNK: usize = 1024;

/// A request's turn: until it is dropped, the host gives the instance no other request. A call of a
/// store blocks the whole instance, so others would wait for it; and so that each request has the
/// memory to itself.
pub(crate) struct Turn(());

impl Turn {
    pub(crate) fn begin() -> Self {
        wit_bindgen::backpressure_inc();
        Self(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        wit_bindgen::backpressure_dec();
    }
}

/// Reads a request, as [`super::read_form`] does. From then on, the endpoint may call stores.
pub(crate) async fn read_form(request: Request) -> Result<Params, Error> {
    let headers = request.get_headers();
    let is_post = matches!(request.get_method(), Method::Post);
    let form = Incoming::form(is_post, |name| headers.get(name));
    drop(headers);
    let path_with_query = request.get_path_with_query();

    let form = read(form, request).await;
    if form.is_err() {
        sleep(UNREAD_DELAY).await;
    }
    wit_bindgen::yield_async().await;
    form?.params(path_with_query)
}

/// Reads the body of `request`. If that fails, the request ends before this returns.
async fn read(incoming: Result<Incoming, Error>, request: Request) -> Result<Incoming, Error> {
    let mut incoming = incoming?;
    in_time(read_body(request, &mut incoming)).await.map_err(|error| incoming.refusal(error))?;
    Ok(incoming)
}

async fn sleep(time: Duration) {
    wait_for(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)).await;
}

/// The outcome of `body`; the timer is gone with it.
async fn in_time(body: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let mut body = pin!(body);
    let mut timeout = pin!(sleep(BODY_TIMEOUT));
    poll_fn(|context| match body.as_mut().poll(context) {
        Poll::Pending => timeout.as_mut().poll(context).map(|()| Err(Error::RequestTimeout)),
        ready @ Poll::Ready(_) => ready,
    })
    .await
}

async fn read_body(request: Request, form: &mut Incoming) -> Result<(), Error> {
    let (_processed, processed) = wit_future::new(|| Ok(()));
    let (mut stream, trailers) = Request::consume_body(request, processed);
    loop {
        match stream.read(Vec::with_capacity(CHUNK)).await {
            (StreamResult::Complete(_), chunk) => form.push(chunk)?,
            _ => return trailers.await.map(drop).map_err(|_| incomplete()),
        }
    }
}

/// The response that the host sends. The request's turn ends when the host has taken the body.
pub(crate) async fn response(json: Json, turn: Turn) -> Response {
    // See `send_fields`.
    let headers = Fields::from_list(&json.fields()).unwrap_or_else(|_| Fields::new());
    let (mut writer, body) = wit_stream::new();
    let (end, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(headers, Some(body), trailers);
    if json.status != StatusCode::OK {
        let _ = response.set_status_code(json.status.as_u16());
    }
    wit_bindgen::yield_async().await;
    wit_bindgen::spawn(async move {
        // What is left was not wanted: the client closed the connection.
        let _ = writer.write_all(json.body).await;
        drop((end, turn));
    });
    response
}
