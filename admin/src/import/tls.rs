//! The certificates that the connection to the source trusts.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// A configuration that trusts the certificates in the PEM file `ca` and those that they sign;
/// without `ca`, the certificate authorities of this machine.
/// Fails if `ca` cannot be read or there is no certificate to trust.
pub(crate) fn config(ca: Option<&Path>) -> Result<ClientConfig> {
    let given = ca.map_or(Ok(Vec::new()), read)?;
    let mut authorities = RootCertStore::empty();
    let all = match ca {
        Some(_) => given.clone(),
        None => rustls_native_certs::load_native_certs().certs,
    };
    authorities.add_parsable_certificates(all);
    if authorities.is_empty() {
        bail!(
            "There are no certificates to trust: install ca-certificates, name a PEM file with \
             --ca, or turn TLS off (?sslmode=disable)."
        );
    }
    let authorities = WebPkiServerVerifier::builder(Arc::new(authorities)).build()?;
    Ok(ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { given, authorities }))
        .with_no_client_auth())
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let failed = || format!("cannot read certificates from {}", path.display());
    let certificates = CertificateDer::pem_file_iter(path).with_context(failed)?;
    certificates.collect::<Result<_, _>>().with_context(failed)
}

/// Also trusts the server's own certificate if it is in the PEM file. PostgreSQL's manual creates
/// one that is marked as a certificate authority, which rustls rejects as a server's certificate.
/// In both cases, the server has to prove that it has the private key.
#[derive(Debug)]
struct Verifier {
    given: Vec<CertificateDer<'static>>,
    authorities: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer,
        intermediates: &[CertificateDer],
        server_name: &ServerName,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.given.iter().any(|given| given == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        self.authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}
