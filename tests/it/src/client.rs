//! An HTTP/1.1 client with one keep-alive connection.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::cases::FORM;

/// A request or a response that takes longer fails the test.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A connection to a server.
pub struct Client {
    stream: TcpStream,
    addr: SocketAddr,
    /// Bytes received after the last response.
    received: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header fields, the names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The number of reads from the socket: 1 if head and body arrived in one TCP segment.
    pub reads: usize,
}

impl Response {
    /// The value of the header field `name` (in lower case), if present.
    pub fn header(&self, name: &str) -> Option<&str> {
        let field = self.headers.iter().find(|(known, _)| known == name)?;
        Some(&field.1)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("not JSON: {:?}", String::from_utf8_lossy(&self.body)))
    }
}

/// Sends a request on a connection of its own, and then the end of the stream unless
/// `is_complete`. Returns all bytes received until the server closes the connection.
pub fn exchange(addr: SocketAddr, request: &[u8], is_complete: bool) -> Vec<u8> {
    let mut stream = Client::connect(addr).stream;
    // A server that rejects a request early may close the connection before all is sent.
    let _ = stream.write_all(request);
    if !is_complete {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut received = Vec::new();
    match stream.read_to_end(&mut received) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            panic!("timeout while reading the reply to {:?}", String::from_utf8_lossy(request))
        }
        // A reset is an end, too.
        _ => received,
    }
}

impl Client {
    /// Connects to the server at `addr`.
    pub fn connect(addr: SocketAddr) -> Self {
        Self::try_connect(addr).expect("a listening server")
    }

    /// Connects to the server at `addr`; `None` if that fails.
    pub fn try_connect(addr: SocketAddr) -> Option<Self> {
        Self::on(TcpStream::connect(addr).ok()?, addr)
    }

    /// Connects to the server at `addr` from the loopback address `source`.
    pub fn connect_from(source: Ipv4Addr, addr: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
        socket.connect(&addr.into()).unwrap();
        Self::on(socket.into(), addr).unwrap()
    }

    fn on(stream: TcpStream, addr: SocketAddr) -> Option<Self> {
        stream.set_read_timeout(Some(TIMEOUT)).ok()?;
        stream.set_write_timeout(Some(TIMEOUT)).ok()?;
        // Nagle's algorithm would add the client's delay to measurements of the server.
        stream.set_nodelay(true).ok()?;
        Some(Self { stream, addr, received: Vec::new() })
    }

    /// Sends a form to `path` and returns the response.
    pub fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Response {
        self.try_post(path, form).unwrap()
    }

    /// Sends a form to `path` and returns the response.
    ///
    /// # Errors
    /// If the server closes the connection early, as a killed one does.
    pub fn try_post(&mut self, path: &str, form: &[(&str, &str)]) -> io::Result<Response> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.try_request("POST", path, &[FORM], body.as_bytes())
    }

    /// Sends a request with the header fields `fields`, `Host` and `Content-Length`, and returns
    /// the response.
    pub fn request(&mut self, method: &str, path: &str, fields: &[&str], body: &[u8]) -> Response {
        self.try_request(method, path, fields, body).unwrap()
    }

    fn try_request(
        &mut self,
        method: &str,
        path: &str,
        fields: &[&str],
        body: &[u8],
    ) -> io::Result<Response> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.addr);
        for field in fields {
            head.extend([*field, "\r\n"]);
        }
        if !body.is_empty() {
            head.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        self.stream.write_all(&[format!("{head}\r\n").as_bytes(), body].concat())?;
        self.try_receive(method == "HEAD")
    }

    /// Sends raw bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Reads one response; the response to a `HEAD` request has no body.
    pub fn receive(&mut self, is_head: bool) -> Response {
        self.try_receive(is_head).unwrap()
    }

    /// Reads one response if it begins within `time`.
    pub fn receive_within(&mut self, time: Duration) -> Option<Response> {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let has_begun = self.stream.peek(&mut [0]).is_ok();
        self.stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        has_begun.then(|| self.receive(false))
    }

    fn try_receive(&mut self, is_head: bool) -> io::Result<Response> {
        let mut received = std::mem::take(&mut self.received);
        let mut reads = 0;
        loop {
            let mut fields = [httparse::EMPTY_HEADER; 32];
            let mut head = httparse::Response::new(&mut fields);
            let Ok(httparse::Status::Complete(start)) = head.parse(&received) else {
                self.read_more(&mut received)?;
                reads += 1;
                continue;
            };
            let status = head.code.unwrap();
            if status == 100 {
                received.drain(..start);
                continue;
            }
            let headers = head.headers.iter().map(|field| {
                let value = String::from_utf8(field.value.to_vec()).unwrap();
                (field.name.to_lowercase(), value)
            });
            let mut response = Response {
                status,
                headers: headers.collect(),
                body: received.split_off(start),
                reads,
            };
            if is_head || response.status == 304 {
                return Ok(response);
            }
            let length = response.header("content-length").expect("a Content-Length");
            let length: usize = length.parse().unwrap();
            while response.body.len() < length {
                self.read_more(&mut response.body)?;
                response.reads += 1;
            }
            self.received = response.body.split_off(length);
            return Ok(response);
        }
    }

    fn read_more(&mut self, received: &mut Vec<u8>) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let count = loop {
            match self.stream.read(&mut buffer) {
                // With a timeout set, stopping and resuming the process interrupts the read
                // (signal(7)).
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        if count == 0 {
            let message = format!("the server closed the connection after {received:?}");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        received.extend_from_slice(&buffer[..count]);
        Ok(())
    }
}
