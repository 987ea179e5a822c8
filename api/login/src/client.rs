//! The client: the address for which failed logins are counted, and whether another site's page
//! sent the login.

use luoyun_common::{Error, settings};
use luoyun_values::address;
use spin_sdk::http::{Headers, IncomingRequest};

/// The header field with the client's `address:port`, which Spin adds to each request.
const SPIN_CLIENT_ADDR: &str = "spin-client-addr";

/// The variable that names the header field in which a trusted proxy sends the client's address.
const CLIENT_ADDRESS_HEADER: &str = "client_address_header";

/// Longest text that is logged for an address, in characters.
const MAX_LOGGED_CHARS: usize = 64;

/// The client that sent a request.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Client {
    /// What its address counts as: see [`address::network`].
    pub(crate) address: String,
    /// The value of the proxy's header field, if it is not an address. Then `address` is that of
    /// the connection.
    pub(crate) malformed: Option<String>,
}

impl Client {
    /// The client that sent a request with these header fields. Its address is that of the
    /// connection; if the variable `client_address_header` is set, the last one in the field of
    /// that name.
    /// Fails with `Internal` if the variable cannot be read, or is not the name of a header field.
    fn new(headers: &Headers) -> Result<Self, Error> {
        // The last value: a client may send the field too; Spin or the proxy appends its own.
        let last = |field: &str| {
            let value = headers.get(field).pop()?;
            Some(String::from_utf8_lossy(&value).into_owned())
        };
        let field = settings::text(CLIENT_ADDRESS_HEADER)?;
        if !field.bytes().all(is_token) {
            return Err(Error::Internal(format!(
                "the variable {CLIENT_ADDRESS_HEADER} is {field:?}, not the name of a header field"
            )));
        }
        let forwarded = if field.is_empty() { None } else { last(&field) };
        let found = forwarded.as_deref().map(|list| address::network(last_of_list(list)));
        if let Some(Some(address)) = found {
            return Ok(Self { address, malformed: None });
        }
        let connection = last(SPIN_CLIENT_ADDR).unwrap_or_default();
        let address = address::network(&connection).unwrap_or_default();
        let malformed = forwarded.map(|value| value.chars().take(MAX_LOGGED_CHARS).collect());
        Ok(Self { address, malformed })
    }
}

/// Where a login comes from.
/// Fails with `CrossSite` if a browser sent it for another site's page (Fetch Metadata,
/// `Sec-Fetch-Site`): such a page may not make its visitor wait. Fails as [`Client::new`].
pub(crate) fn client(request: &IncomingRequest) -> Result<Client, Error> {
    let headers = request.headers();
    let sites = headers.get("sec-fetch-site");
    if sites.iter().any(|site| site.trim_ascii().eq_ignore_ascii_case(b"cross-site")) {
        return Err(Error::CrossSite);
    }
    Client::new(&headers)
}

/// Whether `byte` may be in the name of a header field (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The last item of a comma-separated list: a proxy appends the address of its client to the value
/// that the client sent.
fn last_of_list(list: &str) -> &str {
    list.rsplit(',').next().unwrap_or_default()
}
