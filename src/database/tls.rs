//! TLS to the database: whom to trust.
//!
//! `sslmode` and `sslrootcert` mean what they mean to libpq, but where it would be lax: `require`
//! verifies the server's certificate and name as `verify-full` does, and so does `sslrootcert`
//! without any `sslmode`. The system's certificates are trusted unless `sslrootcert` names others.

use std::sync::Arc;

use postgres::config::SslMode;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{self, WebPkiSupportedAlgorithms, ring};
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
    /// That an authority we trust has signed it.
    Authority,
    /// That, and that it names the host.
    AuthorityAndName,
}

/// Whether to ask for TLS, and what to verify then.
///
/// # Errors
/// The cause, for modes that there are not or that would verify nothing.
pub fn mode(
    sslmode: Option<&str>,
    sslrootcert: Option<&str>,
) -> Result<(SslMode, Option<Verify>), String> {
    match (sslmode.unwrap_or_default(), sslrootcert) {
        // Public authorities sign for anybody, so that without the name they prove nothing.
        (mode @ ("disable" | "allow" | "prefer" | "verify-ca"), Some("system"))
        | (mode @ "verify-ca", None) => Err(format!(
            "sslmode={mode} needs certificates of your own: write sslrootcert=PATH, or \
             sslmode=verify-full"
        )),
        ("disable", _) => Ok((SslMode::Disable, None)),
        ("allow" | "prefer", _) | ("", None) => Ok((SslMode::Prefer, None)),
        ("verify-ca", _) => Ok((SslMode::Require, Some(Verify::Authority))),
        ("" | "require" | "verify-full", _) => {
            Ok((SslMode::Require, Some(Verify::AuthorityAndName)))
        }
        (mode, _) => Err(format!(
            "sslmode={mode} is none of disable, allow, prefer, require, verify-ca, verify-full"
        )),
    }
}

/// What makes TLS connections. Without `verify` they trust whoever answers.
///
/// # Errors
/// The cause, if there are no certificates to verify with.
pub fn connector(
    verify: Option<Verify>,
    sslrootcert: Option<&str>,
) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let mut verifier =
        Verifier { verify, roots: RootCertStore::empty(), own: Vec::new(), algorithms };
    match sslrootcert {
        _ if verify.is_none() => {}
        None | Some("system") => {
            let found = rustls_native_certs::load_native_certs();
            verifier.roots.add_parsable_certificates(found.certs);
            if verifier.roots.is_empty() {
                return Err("no certificates on this system: install ca-certificates".to_owned());
            }
        }
        Some(path) => {
            let wrong = |cause| format!("sslrootcert={path}: {cause}");
            let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
            verifier.own = read.map_err(|error| wrong(one_line(&error)))?;
            verifier.roots.add_parsable_certificates(verifier.own.iter().cloned());
            if verifier.roots.is_empty() {
                return Err(wrong("there is no certificate in it".to_owned()));
            }
        }
    }
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config
        .map_err(|error| error.to_string())?
        .dangerous() // as rustls calls every verifier but its own
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(MakeRustlsConnect::new(config))
}

/// What to do about a failed connection, after a semicolon. Empty if there is nothing to add.
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
    verify: Option<Verify>,
    roots: RootCertStore,
    /// What `sslrootcert` names.
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
        let Some(verify) = self.verify else { return Ok(ServerCertVerified::assertion()) };
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.algorithms.all;
        match verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            intermediates,
            now,
            algorithms,
        ) {
            // A server's self-signed certificate is often an authority's by form (`openssl req
            // -x509` makes such), which is refused after all else. If it is named, it is trusted.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if self.own.iter().any(|own| own == certificate) => {}
            outcome => outcome?,
        }
        if verify == Verify::AuthorityAndName {
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
