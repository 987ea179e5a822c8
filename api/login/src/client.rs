//! The client: the address for which failed logins are counted, and whether another site's page
//! sent the login.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use luoyun_common::{Error, settings};
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
    /// An IPv4 address, or the /64 prefix of an IPv6 address, which a provider assigns to one
    /// customer.
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
        let found = forwarded.as_deref().map(|value| {
            let is_rfc_7239 = field.eq_ignore_ascii_case("forwarded");
            let node = if is_rfc_7239 { last_for(value)? } else { last_of_list(value).to_owned() };
            address_of(&node)
        });
        if let Some(Some(address)) = found {
            return Ok(Self { address, malformed: None });
        }
        let connection = last(SPIN_CLIENT_ADDR).unwrap_or_default();
        let address = address_of(&connection).unwrap_or_default();
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

/// The node of `for` in the last element of a `Forwarded` field (RFC 7239, 4); `None` if there is
/// none, or if the field is malformed: a client that leaves a quotation mark open could otherwise
/// hide the element of the proxy.
fn last_for(forwarded: &str) -> Option<String> {
    let mut node = None;
    let mut rest = forwarded.trim_start();
    while let Some(next) = rest.chars().next() {
        if next == ',' {
            node = None;
        }
        if matches!(next, ',' | ';') {
            rest = rest[1..].trim_start();
            continue;
        }
        let (name, value) = rest.split_once('=')?;
        let (value, after) = if let Some(quoted) = value.trim_start().strip_prefix('"') {
            unquote(quoted)?
        } else {
            let (value, after) = value.split_at(value.find([',', ';']).unwrap_or(value.len()));
            (value.trim().to_owned(), after)
        };
        rest = after.trim_start();
        let is_pair = name.trim().bytes().all(is_token) && !value.contains('"');
        if !(is_pair && (rest.is_empty() || rest.starts_with([',', ';']))) {
            return None;
        }
        if name.trim().eq_ignore_ascii_case("for") {
            node = Some(value);
        }
    }
    node
}

/// The text of a quoted string (RFC 9110, 5.6.4) that starts after its first quotation mark, and
/// what follows it.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((text, chars.as_str())),
            '\\' => text.push(chars.next()?),
            c => text.push(c),
        }
    }
}

/// What failed logins are counted for: the IPv4 address, or the /64 prefix of the IPv6 address, in
/// `node`, which may have a port, brackets and a zone. An IPv6 address that contains an IPv4 address
/// (`::ffff:0:0/96`; `64:ff9b::/96`, RFC 6052) counts as that one. `None` if it is not an address.
fn address_of(node: &str) -> Option<String> {
    let node = node.trim();
    let (address, port) = match node.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        // One colon separates a port; an IPv6 address has at least two.
        None if node.matches(':').count() == 1 => node.split_at(node.find(':')?),
        None => (node, ""),
    };
    if !(port.is_empty() || port.starts_with(':')) {
        return None;
    }
    let without_zone = address.split('%').next().unwrap_or_default();
    match without_zone.parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(address) => Some(address.to_string()),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            if let [0x64, 0xff9b, 0, 0, 0, 0, ..] = address.segments() {
                let [.., a, b, c, d] = bits.to_be_bytes();
                return Some(Ipv4Addr::new(a, b, c, d).to_string());
            }
            Some(format!("{}/64", Ipv6Addr::from_bits(bits >> 64 << 64)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{address_of, last_for};

    #[test]
    fn an_address_counts_the_same_in_every_notation() {
        for (node, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            (" 192.0.2.1:5678 ", Some("192.0.2.1")),
            ("192.0.2.1:_port", Some("192.0.2.1")),
            ("192.0.2.1:99999", Some("192.0.2.1")),
            ("[192.0.2.1]:5678", Some("192.0.2.1")),
            ("2001:db8:1:2:3:4:5:6", Some("2001:db8:1:2::/64")),
            ("[2001:db8:1:2::1]", Some("2001:db8:1:2::/64")),
            ("[2001:db8:1:2::1]:5678", Some("2001:db8:1:2::/64")),
            ("[fe80::1%2]:5678", Some("fe80::/64")),
            ("fe80::1%eth0", Some("fe80::/64")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("[::ffff:192.0.2.1]:5678", Some("192.0.2.1")),
            ("64:ff9b::192.0.2.1", Some("192.0.2.1")),
            ("[64:ff9b::c000:201]:5678", Some("192.0.2.1")),
            ("64:ff9b:0:0:1::c000:201", Some("64:ff9b::/64")),
            ("::1", Some("::/64")),
            ("192.0.2.1 6.6.6.6", None),
            ("[2001:db8::1]5678", None),
            ("[2001:db8::1", None),
            ("unknown", None),
            ("_hidden:7", None),
            ("", None),
        ] {
            assert_eq!(address_of(node).as_deref(), expected, "{node}");
        }
    }

    #[test]
    fn the_last_element_of_forwarded_counts() {
        for (forwarded, expected) in [
            ("for=192.0.2.1", Some("192.0.2.1")),
            ("FOR = \"192.0.2.1:5678\" ; proto=https", Some("192.0.2.1:5678")),
            (", for=6.6.6.6,, for=192.0.2.1;;by=10.0.0.1;", Some("192.0.2.1")),
            (r#"for=6.6.6.6,proto=http;for="[2001:db8::1]:80""#, Some("[2001:db8::1]:80")),
            (r#"for=192.0.2.1;host="a, for=6.6.6.6""#, Some("192.0.2.1")),
            (r#"for="192.0.2\.1""#, Some("192.0.2.1")),
            (r#"for="x, for=192.0.2.1;host="a, for=6.6.6.6""#, None),
            (r#"for=a"b, for=192.0.2.1"#, None),
            (r#"for="192.0.2.1"#, None),
            ("for=192.0.2.1, proto=http", None),
            ("192.0.2.1", None),
            ("", None),
        ] {
            assert_eq!(last_for(forwarded).as_deref(), expected, "{forwarded}");
        }
    }
}
