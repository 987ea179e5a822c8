//! Where a database is.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// The location of a database.
#[derive(Clone)]
pub(crate) enum Location {
    /// The path of a file.
    File(PathBuf),
    /// The URL of a server, without a slash at its end.
    Server(String),
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("it is empty".into());
        }
        // Turso prints its URLs with this scheme.
        let url = text.trim().replacen("libsql://", "https://", 1);
        let Some((scheme, rest)) = url.split_once("://") else {
            return Ok(Self::File(text.into()));
        };
        let host = url.parse().ok().and_then(|uri: ureq::http::Uri| Some(uri.host()?.to_owned()));
        match (scheme, host) {
            ("https", Some(_)) => {}
            ("http", Some(host)) if is_this_machine(&host) => {}
            ("http", Some(_)) => {
                return Err("http:// would send the token unencrypted: use https://".into());
            }
            _ => return Err("the URL of a server must be https://HOST".into()),
        }
        if rest.contains(['@', '?', '#']) {
            return Err("the URL must not contain a user, token or parameter: set the token in \
                        LIBSQL_TOKEN"
                .into());
        }
        Ok(Self::Server(url.trim_end_matches('/').to_owned()))
    }
}

/// Whether `host`, the host of a URL, is this machine.
pub(crate) fn is_this_machine(host: &str) -> bool {
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost" || ip.is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
}
