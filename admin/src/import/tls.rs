//! The certificates that the connection to the source trusts.

use std::error::Error as _;
use std::path::Path;
use std::sync::Arc;
use std::{env, fs, io};

use anyhow::{Context, Result, anyhow, bail};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError as Reason, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};

/// A configuration that trusts the certificates in the PEM file `root` and those that they sign;
/// without it, those in libpq's file, or else, and for `system`, the certificate authorities of
/// this machine. `checks_name` is whether the certificate has to be for the name of the server.
/// Fails if the file cannot be read or there is no certificate to trust.
pub(crate) fn config(root: Option<&Path>, checks_name: bool) -> Result<ClientConfig> {
    let default = env::home_dir().unwrap_or_default().join(".postgresql/root.crt");
    let root = root.or(default.exists().then_some(&default));
    let root = root.filter(|root| *root != Path::new("system"));
    let given = root.map_or(Ok(Vec::new()), read)?;
    let mut authorities = RootCertStore::empty();
    let native = || rustls_native_certs::load_native_certs().certs;
    authorities.add_parsable_certificates(if given.is_empty() { native() } else { given.clone() });
    if authorities.is_empty() {
        bail!(
            "There are no certificates to trust: install ca-certificates, name a PEM file with \
             --ca, or turn TLS off (?sslmode=disable)."
        );
    }
    let authorities = WebPkiServerVerifier::builder(Arc::new(authorities)).build()?;
    Ok(ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { given, authorities, checks_name }))
        .with_no_client_auth())
}

/// A configuration that trusts nothing, for a connection without TLS.
pub(crate) fn unused() -> ClientConfig {
    ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth()
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let failed = || format!("cannot read certificates from {}", path.display());
    let bytes = fs::read(path).with_context(failed)?;
    let certificates = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.with_context(failed)?;
    if certificates.is_empty() {
        let advice = match bytes.first() {
            Some(0x30) => "it is in DER form; openssl x509 -inform der converts it",
            _ => "it has to contain lines from BEGIN CERTIFICATE to END CERTIFICATE",
        };
        return Err(anyhow!("there is no PEM certificate in it: {advice}")).with_context(failed);
    }
    Ok(certificates)
}

/// The error of a connection, with what to do if it is about TLS.
pub(crate) fn explain(error: tokio_postgres::Error) -> anyhow::Error {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()?.get_ref());
    let Some(Error::InvalidCertificate(reason)) = cause.and_then(|cause| cause.downcast_ref())
    else {
        let is_refused = error.source().is_some_and(|it| it.to_string().contains("support TLS"));
        let advice = "without TLS (?sslmode=disable), all is readable, the password too";
        let error = anyhow::Error::from(error);
        return if is_refused { error.context(advice) } else { error };
    };
    let advice = match reason {
        Reason::ExpiredContext { not_after, .. } => format!("it expired on {}", date(*not_after)),
        Reason::NotValidYetContext { not_before, .. } => {
            format!("it is valid from {}", date(*not_before))
        }
        Reason::UnknownIssuer => "it is not signed by an authority that is trusted here: name the \
                          authority's, or the server's own, with --ca FILE"
            .to_owned(),
        Reason::NotValidForNameContext { expected, presented } => format!(
            "it is not for {}, but for {}: use such a name in the URL, or ?sslmode=verify-ca, \
             which checks only who signed it",
            expected.to_str(),
            presented.join(", ")
        ),
        // Its type is not exported.
        Reason::Other(other) if format!("{other:?}").contains("UnsupportedCertVersion") => {
            "it has the outdated version 1 of X.509: make one of version 3, as openssl x509 -req \
             does with -extfile FILE, where FILE has the line subjectAltName=DNS:NAME"
                .to_owned()
        }
        other => format!("{other}; --ca FILE with this certificate trusts it as it is"),
    };
    anyhow!("The server's certificate is not accepted: {advice}.")
}

fn date(time: UnixTime) -> String {
    let seconds = time.as_secs();
    let sql = format!("SELECT date({seconds}, 'unixepoch')");
    let db = rusqlite::Connection::open_in_memory();
    let date = db.and_then(|db| db.query_row(&sql, [], |row| row.get(0)));
    date.unwrap_or_else(|_| seconds.to_string())
}

/// Also trusts the server's own certificate if it is in the PEM file. PostgreSQL's manual creates
/// one that is marked as a certificate authority, which rustls rejects as a server's certificate.
/// In both cases, the server has to prove that it has the private key.
#[derive(Debug)]
struct Verifier {
    given: Vec<CertificateDer<'static>>,
    authorities: Arc<WebPkiServerVerifier>,
    checks_name: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer,
        others: &[CertificateDer],
        name: &ServerName,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.given.iter().any(|given| given == certificate) {
            return Ok(ServerCertVerified::assertion());
        }
        match self.authorities.verify_server_cert(certificate, others, name, ocsp, now) {
            // Found only after everything else has been verified.
            Err(Error::InvalidCertificate(Reason::NotValidForNameContext { .. }))
                if !self.checks_name =>
            {
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
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
