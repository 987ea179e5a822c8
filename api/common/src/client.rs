//! Where a request comes from.

use spin_sdk::http::{Headers, IncomingRequest};

use crate::{Error, settings};

/// The field in which Spin tells a component `address:port` of the client.
const SPIN_CLIENT_ADDR: &str = "spin-client-addr";

/// The client of a request.
pub struct Client {
    headers: Headers,
}

impl Client {
    /// The client that sent `request`.
    #[must_use]
    pub fn of(request: &IncomingRequest) -> Self {
        Self { headers: request.headers() }
    }

    /// The client's address: what Spin says, without the port, or the last word of
    /// the header field that the variable `client_address_header` names, for those
    /// behind a proxy that they trust to set it. Empty where neither is known.
    ///
    /// # Errors
    /// `Internal` where the variable cannot be read.
    pub fn address(&self) -> Result<String, Error> {
        let field = settings::text("client_address_header")?;
        if !field.is_empty()
            && let Some(addresses) = self.last(&field)
        {
            // A proxy appends the address it saw to what the client sent.
            let address = addresses.rsplit(',').next().unwrap_or_default();
            return Ok(address.trim().to_owned());
        }
        let address = self.last(SPIN_CLIENT_ADDR).unwrap_or_default();
        Ok(match address.rsplit_once(':') {
            Some((host, _port)) => host.to_owned(),
            None => address,
        })
    }

    /// The last value of a field: a client can send one of its own, but Spin's, or
    /// the proxy's, comes after it.
    fn last(&self, field: &str) -> Option<String> {
        let value = self.headers.get(field).pop()?;
        Some(String::from_utf8_lossy(&value).into_owned())
    }
}
