//! As little as `empty` does, written as the SDK's examples are: the request is read whole, and
//! the SDK sends the `Response` in two writes, head and body.

use spin_sdk::http::{Request, Response};
use spin_sdk::http_component;

#[http_component]
fn handle(_: Request) -> Response {
    Response::builder().header("content-type", "application/json").body(r#"{"code":0}"#).build()
}
