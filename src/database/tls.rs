//! TLS connections to the database, and which certificates they accept.
//!
//! `sslmode` and `sslrootcert` work as in libpq, with two stricter exceptions: `require`, and
//! `sslrootcert` without `sslmode`, verify the server's certificate and name as `verify-full` does. The
//! system's certificates are trusted unless `sslrootcert` names others.

use std::sync::Arc;

use postgres::config::SslMode;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    verify_server_cert_signed_by_trust_anchor as verify_chain, verify_server_name,
};
use rustls::crypto::{self, WebPkiSupportedAlgorithms};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::one_line;

/// How much of a server's certificate is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Nothing. TLS is optional, and any server is trusted.
    Nothing,
    /// A trusted authority must have signed it.
    Authority,
    /// A trusted authority must have signed it, and it must name the host.
    AuthorityAndName,
}

/// Whether to use TLS, and what to verify. A setting that is not given is an empty text.
///
/// # Errors
/// The cause, if the mode is unknown or the two settings together would verify nothing.
pub fn mode(sslmode: &str, sslrootcert: &str) -> Result<(SslMode, Verify), String> {
    match (sslmode, sslrootcert) {
        // A public authority signs certificates for anybody, so one proves nothing unless the name is
        // verified, too.
        ("disable" | "allow" | "prefer" | "verify-ca", "system") | ("verify-ca", "") => {
            Err(format!(
                "sslmode={sslmode} needs certificates of your own: write sslrootcert=PATH, or \
                 sslmode=verify-full"
            ))
        }
        ("disable", _) => Ok((SslMode::Disable, Verify::Nothing)),
        ("allow" | "prefer", _) | ("", "") => Ok((SslMode::Prefer, Verify::Nothing)),
        ("verify-ca", _) => Ok((SslMode::Require, Verify::Authority)),
        ("" | "require" | "verify-full", _) => Ok((SslMode::Require, Verify::AuthorityAndName)),
        _ => Err(format!(
            "sslmode={sslmode} is none of disable, allow, prefer, require, verify-ca, verify-full"
        )),
    }
}

/// The connector that makes TLS connections.
///
/// # Errors
/// The cause, if no trusted certificate can be read.
pub fn connector(verify: Verify, sslrootcert: &str) -> Result<MakeRustlsConnect, String> {
    let (mut roots, mut own) = (RootCertStore::empty(), Vec::new());
    let missing = match sslrootcert {
        _ if verify == Verify::Nothing => String::new(),
        "" | "system" => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            "no certificates on this system: install ca-certificates".to_owned()
        }
        path => {
            let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
            own = read.map_err(|error| format!("sslrootcert={path}: {}", one_line(&error)))?;
            roots.add_parsable_certificates(own.iter().cloned());
            format!("sslrootcert={path}: there is no certificate in it")
        }
    };
    if verify != Verify::Nothing && roots.is_empty() {
        return Err(missing);
    }
    let config = ClientConfig::builder();
    let algorithms = config.crypto_provider().signature_verification_algorithms;
    let verifier = Verifier { verify, roots, own, algorithms };
    let mut config = config
        .dangerous() // rustls calls every verifier dangerous except its own
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(MakeRustlsConnect::new(config))
}

/// Advice about a failed connection, which begins with a semicolon. Empty if there is none.
pub fn advice(cause: &str) -> &'static str {
    let is = |sign| cause.contains(sign);
    if is("UnknownIssuer") || is("BadSignature") || is("CaUsedAsEndEntity") {
        "; write sslrootcert=PATH, with the file of its authority's certificate or its own"
    } else if is("not valid for") {
        "; connect by a name in the certificate, or make one with this name in it"
    } else if is("does not support TLS") {
        "; switch ssl on there, or do without by sslmode=disable"
    } else {
        ""
    }
}

#[derive(Debug)]
struct Verifier {
    verify: Verify,
    roots: RootCertStore,
    /// The certificates in the file that `sslrootcert` names.
    own: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.verify == Verify::Nothing {
            return Ok(ServerCertVerified::assertion());
        }
        let parsed = ParsedCertificate::try_from(certificate)?;
        match verify_chain(&parsed, &self.roots, intermediates, now, self.algorithms.all) {
            // A self-signed certificate is often marked as an authority's (`openssl req -x509` does
            // that). As a server's certificate it fails, in the last check of all. It is still trusted
            // if `sslrootcert` names it.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if self.own.contains(certificate) => {}
            outcome => outcome?,
        }
        if self.verify == Verify::AuthorityAndName {
            verify_server_name(&parsed, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
