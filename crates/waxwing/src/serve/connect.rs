//! Connecting to other servers: TCP, then TLS.
//!
//! Opportunistic TLS (RFC 7435) takes any certificate, because the alternative is clear text; but
//! whether it would have passed is looked at afterwards and goes into the journey. Where TLS is
//! required to a known name, a certificate that does not pass ends the handshake.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::tls;

/// A connector that accepts only certificates that pass, from the public roots and these.
pub fn tls_connector(extra_roots: Option<&Path>) -> Result<TlsConnector> {
    let config = builder()?.with_root_certificates(roots(extra_roots)?).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>> {
    ClientConfig::builder_with_provider(tls::provider()).with_safe_default_protocol_versions().context("TLS provider")
}

fn roots(extra: Option<&Path>) -> Result<Arc<RootCertStore>> {
    let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = extra {
        let pem = std::fs::read(path).with_context(|| format!("cannot read the roots in {}", path.display()))?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.with_context(|| format!("{} is not PEM", path.display()))?;
            store.add(certificate).with_context(|| format!("{} holds no usable root", path.display()))?;
        }
    }
    Ok(Arc::new(store))
}

/// TLS towards other mail servers, in both strengths.
pub struct OutboundTls {
    strict: TlsConnector,
    any: TlsConnector,
    judge: Arc<WebPkiServerVerifier>,
}

impl OutboundTls {
    /// With the public roots and those in the file.
    pub fn new(extra_roots: Option<&Path>) -> Result<OutboundTls> {
        let provider = tls::provider();
        let judge = WebPkiServerVerifier::builder_with_provider(roots(extra_roots)?, provider.clone())
            .build()
            .context("building the certificate verifier")?;
        let mut config =
            builder()?.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate { provider })).with_no_client_auth();
        // A resumed session carries no certificate that could be looked at.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(OutboundTls { strict: tls_connector(extra_roots)?, any: TlsConnector::from(Arc::new(config)), judge })
    }

    /// The connector for a policy: `verify` ends the handshake when the certificate does not pass.
    pub fn connector(&self, verify: bool) -> &TlsConnector {
        if verify { &self.strict } else { &self.any }
    }

    /// Whether the certificate that was shown passes for that name.
    pub fn would_pass(&self, connection: &rustls::ClientConnection, name: &ServerName<'_>) -> bool {
        let Some([end_entity, intermediates @ ..]) = connection.peer_certificates() else { return false };
        self.judge.verify_server_cert(end_entity, intermediates, name, &[], UnixTime::now()).is_ok()
    }
}

/// Takes any certificate; that the peer holds its key is still checked.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
