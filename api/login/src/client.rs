//! The client's network, for which failed logins are counted.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use luoyun_common::{Error, settings};
use spin_sdk::http::IncomingRequest;

/// The header field with the client's `address:port`, which Spin adds to each request.
const SPIN_CLIENT_ADDR: &str = "spin-client-addr";

/// The variable that names the header field in which a trusted proxy sends the client's address.
const CLIENT_ADDRESS_HEADER: &str = "client_address_header";

/// The network of the client that sent `request`: an IPv4 address, or the /64 prefix of an IPv6
/// address, which a provider assigns to one customer.
///
/// The address is that of the connection. If the variable `client_address_header` is set, it is
/// the last address in the header field of that name.
/// Fails with `Internal` if the variable cannot be read, or is not the name of a header field.
pub(crate) fn network(request: &IncomingRequest) -> Result<String, Error> {
    let headers = request.headers();
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
    let addresses = forwarded.or_else(|| last(SPIN_CLIENT_ADDR)).unwrap_or_default();
    // A proxy appends the address of its client to the value that the client sent.
    Ok(network_of(addresses.rsplit(',').next().unwrap_or_default().trim()))
}

/// Whether `byte` may be in the name of a header field (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The network of an address with or without a port; any other text unchanged.
fn network_of(address: &str) -> String {
    let without_zone = address.split('%').next().unwrap_or_default();
    let bare = without_zone.trim_start_matches('[').trim_end_matches(']');
    let parsed = without_zone.parse().map(|address: SocketAddr| address.ip());
    match parsed.or_else(|_| bare.parse()).map(|address: IpAddr| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.to_string(),
        Ok(IpAddr::V6(address)) => {
            let prefix = address.to_bits() >> 64 << 64;
            format!("{}/64", Ipv6Addr::from_bits(prefix))
        }
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::network_of;

    #[test]
    fn an_ipv6_address_counts_with_its_64_bit_prefix() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:5678", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("[2001:db8:1:2::1]", "2001:db8:1:2::/64"),
            ("[2001:db8:1:2::1]:5678", "2001:db8:1:2::/64"),
            ("[fe80::1%2]:5678", "fe80::/64"),
            ("fe80::1%eth0", "fe80::/64"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("[::ffff:192.0.2.1]:5678", "192.0.2.1"),
            ("::1", "::/64"),
            ("unix", "unix"),
            ("", ""),
        ] {
            assert_eq!(network_of(address), expected, "{address}");
        }
    }
}
