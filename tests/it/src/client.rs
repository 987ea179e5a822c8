//! An HTTP/1.1 client with one keep-alive connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::cases::FORM;

/// A request or a response that takes longer fails the test.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A connection to a server.
pub struct Client {
    stream: BufReader<TcpStream>,
    addr: SocketAddr,
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
    /// Whether the body arrived with the head, in one TCP segment.
    pub is_whole: bool,
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
        Some(Self { stream: BufReader::new(stream), addr })
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
        self.stream.get_ref().write_all(&[format!("{head}\r\n").as_bytes(), body].concat())?;
        self.try_receive(method == "HEAD")
    }

    /// Sends raw bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_ref().write_all(bytes).unwrap();
    }

    /// Reads one response; the response to a `HEAD` request has no body.
    pub fn receive(&mut self, is_head: bool) -> Response {
        self.try_receive(is_head).unwrap()
    }

    /// Ends what this client sends; returns the response, after which the server closes the
    /// connection, or `None` if it does so without one.
    pub fn finish(mut self) -> Option<Response> {
        let _ = self.stream.get_ref().shutdown(Shutdown::Write);
        let is_answered = self.stream.fill_buf().is_ok_and(|received| !received.is_empty());
        let response = is_answered.then(|| self.receive(false));
        let end = self.stream.read_to_end(&mut Vec::new());
        // A reset is an end, too.
        let is_late = end.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        assert!(!is_late, "timeout after {response:?}");
        response
    }

    /// Reads one response if it begins within `time`.
    pub fn receive_within(&mut self, time: Duration) -> Option<Response> {
        self.stream.get_ref().set_read_timeout(Some(time)).unwrap();
        let has_begun = self.stream.get_ref().peek(&mut [0]).is_ok();
        self.stream.get_ref().set_read_timeout(Some(TIMEOUT)).unwrap();
        has_begun.then(|| self.receive(false))
    }

    fn try_receive(&mut self, is_head: bool) -> io::Result<Response> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if self.stream.read_until(b'\n', &mut head)? == 0 {
                let message = format!("the server closed the connection after {head:?}");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
            }
        }
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut parsed = httparse::Response::new(&mut fields);
        parsed.parse(&head).unwrap();
        let status = parsed.code.unwrap();
        if status == 100 {
            return self.try_receive(is_head);
        }
        let headers = parsed.headers.iter().map(|field| {
            (field.name.to_lowercase(), str::from_utf8(field.value).unwrap().to_owned())
        });
        let headers = headers.collect();
        let mut response = Response { status, headers, body: Vec::new(), is_whole: true };
        if !is_head && status != 304 {
            let length = response.header("content-length").map_or(0, |it| it.parse().unwrap());
            response.body.resize(length, 0);
            response.is_whole = self.stream.buffer().len() >= response.body.len();
            self.stream.read_exact(&mut response.body)?;
        }
        Ok(response)
    }
}
