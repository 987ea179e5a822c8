//! What failed logins are counted for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network that `node`, an address with or without port, brackets and zone, counts as: the IPv4
/// address, or the /64 prefix of the IPv6 address, which a provider assigns to one customer. An
/// IPv6 address that contains an IPv4 address (`::ffff:0:0/96`, RFC 4291, 2.5.5.2; `64:ff9b::/96`,
/// RFC 6052, 2.1) counts as that one. `None` if it is not an address.
#[must_use]
pub fn network(node: &str) -> Option<String> {
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
    use super::network;

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
            assert_eq!(network(node).as_deref(), expected, "{node}");
        }
    }
}
