//! An HTTP/1.1 client with low overhead, because it shares the processors with the server.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use httparse::{EMPTY_HEADER, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A keep-alive connection to a server.
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A `POST` request with the body `form`.
pub(crate) fn post(addr: SocketAddr, path: &str, form: &str) -> Vec<u8> {
    let length = form.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {addr}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
    )
    .into_bytes()
}

impl Connection {
    pub(crate) async fn open(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        // Nagle's algorithm would delay requests and distort the server's latency.
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(16 * 1024) })
    }

    /// Sends `request` and returns the complete reply, head and body.
    ///
    /// # Errors
    /// If the server closes the connection, or the reply is not HTTP.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.stream.write_all(request).await.context("send a request")?;
        self.received.clear();
        while !is_complete(&self.received)? {
            if self.stream.read_buf(&mut self.received).await.context("receive a reply")? == 0 {
                bail!("the server closed the connection");
            }
        }
        Ok(&self.received)
    }
}

/// Whether `received` contains a complete reply.
fn is_complete(received: &[u8]) -> Result<bool> {
    let mut fields = [EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let Status::Complete(start) = head.parse(received)? else { return Ok(false) };
    let mut fields = head.headers.iter();
    let length = fields
        .find(|field| field.name.eq_ignore_ascii_case("content-length"))
        .context("a reply without Content-Length")?;
    Ok(received.len() - start >= str::from_utf8(length.value)?.parse()?)
}
