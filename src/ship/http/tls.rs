//! Which certificate authorities an HTTPS sink trusts: those of `ca_file`, else the system's
//! (`SSL_CERT_FILE` and `SSL_CERT_DIR` where they are set). There is no list in the program, and
//! no way to go without verification.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::error::{Error, Result};

/// The TLS settings for a sink. The system's store is read only where it is needed: it takes some
/// milliseconds. A `ca_file` is checked in any case.
///
/// # Errors
/// [`Error::Usage`] when `ca_file` cannot be read or holds no usable certificate, or when the
/// system has none.
pub(super) fn config(is_https: bool, ca_file: Option<&Path>) -> Result<TlsConfig> {
    let authorities = match ca_file {
        Some(path) => from_file(path)?,
        None if is_https => from_system()?,
        None => Vec::new(),
    };
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&authorities))
        // Named, because ureq panics where neither it nor the process has one.
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build())
}

fn from_file(path: &Path) -> Result<Vec<Certificate<'static>>> {
    let refuse = |reason: String| {
        Error::Usage(format!(
            "cannot use the CA file {}: {reason}",
            path.display()
        ))
    };
    let pem = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let mut authorities = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) =
            item.map_err(|error| refuse(error.to_string()))?
        {
            // ureq skips what it cannot use, and every request would then fail for no visible
            // reason.
            RootCertStore::empty()
                .add(CertificateDer::from(certificate.der()))
                .map_err(|error| refuse(format!("a certificate in it is damaged: {error}")))?;
            authorities.push(certificate);
        }
    }
    if authorities.is_empty() {
        return Err(refuse(
            "it holds no certificate; expected PEM with `-----BEGIN CERTIFICATE-----`".to_owned(),
        ));
    }
    Ok(authorities)
}

fn from_system() -> Result<Vec<Certificate<'static>>> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let reason = found
            .errors
            .first()
            .map_or(String::new(), |error| format!(" ({error})"));
        return Err(Error::Usage(format!(
            "this system has no certificate authorities for https{reason}; install its \
             `ca-certificates` package, or name a PEM file with --ca-file"
        )));
    }
    Ok(found
        .certs
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect())
}
