//! The client's network, for which failed logins are counted.

use std::net::{IpAddr, Ipv6Addr};

use luoyun_common::{Error, settings};
use spin_sdk::http::{Headers, IncomingRequest};

/// The header field with the client's `address:port`, which Spin adds to each request.
const SPIN_CLIENT_ADDR: &str = "spin-client-addr";

/// The client of a request.
pub(crate) struct Client {
    headers: Headers,
}

impl Client {
    /// The client that sent `request`.
    pub(crate) fn of(request: &IncomingRequest) -> Self {
        Self { headers: request.headers() }
    }

    /// The network of the client's address; see [`network`].
    ///
    /// The address is that of the connection. If the variable `client_address_header` is set, it
    /// is the last address in the header field of that name, which a trusted proxy sets.
    ///
    /// # Errors
    /// `Internal` if the variable cannot be read.
    pub(crate) fn network(&self) -> Result<String, Error> {
        let field = settings::text("client_address_header")?;
        if !field.is_empty()
            && let Some(addresses) = self.last(&field)
        {
            // A proxy appends the address of its client to the value that the client sent.
            return Ok(network(addresses.rsplit(',').next().unwrap_or_default().trim()));
        }
        let address = self.last(SPIN_CLIENT_ADDR).unwrap_or_default();
        Ok(network(address.rsplit_once(':').map_or(address.as_str(), |(host, _port)| host)))
    }

    /// The last value of a header field. A client may send the field too; Spin or the proxy
    /// appends its own value after it.
    fn last(&self, field: &str) -> Option<String> {
        let value = self.headers.get(field).pop()?;
        Some(String::from_utf8_lossy(&value).into_owned())
    }
}

/// An IPv4 address unchanged; of an IPv6 address the /64 prefix, which a provider assigns to one
/// customer; any other text unchanged.
fn network(address: &str) -> String {
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>().map(|address| address.to_canonical()) {
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
    use super::network;

    #[test]
    fn an_ipv6_address_counts_with_its_64_bit_prefix() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("[2001:db8:1:2::1]", "2001:db8:1:2::/64"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::1", "::/64"),
            ("unix", "unix"),
            ("", ""),
        ] {
            assert_eq!(network(address), expected, "{address}");
        }
    }
}
