//! Connecting to other servers: TCP, then TLS.
//!
//! Opportunistic TLS (RFC 7435) takes any certificate, because the alternative is clear text; but
//! whether it would have passed is looked at afterwards and goes into the journey. Where TLS is
//! required to a known name, a certificate that does not pass ends the handshake.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;
use waxwing_delivery::outbound::{BoxStream, Connect, Secured, Verify};

use super::tls;

/// A connector that accepts only certificates that pass, from the public roots and these.
pub fn tls_connector(extra_roots: Option<&Path>) -> Result<TlsConnector> {
    let config = builder()?.with_root_certificates(roots(extra_roots)?).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>> {
    ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .context("TLS provider")
}

fn roots(extra: Option<&Path>) -> Result<Arc<RootCertStore>> {
    let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = extra {
        let pem = std::fs::read(path)
            .with_context(|| format!("cannot read the roots in {}", path.display()))?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate =
                certificate.with_context(|| format!("{} is not PEM", path.display()))?;
            store
                .add(certificate)
                .with_context(|| format!("{} holds no usable root", path.display()))?;
        }
    }
    Ok(Arc::new(store))
}

/// The network as delivery sees it: TCP, and TLS in both strengths.
pub struct Network {
    strict: TlsConnector,
    any: TlsConnector,
    judge: Arc<WebPkiServerVerifier>,
}

impl Network {
    /// With the public roots and those in the file.
    pub fn new(extra_roots: Option<&Path>) -> Result<Network> {
        let provider = tls::provider();
        let judge =
            WebPkiServerVerifier::builder_with_provider(roots(extra_roots)?, provider.clone())
                .build()
                .context("building the certificate verifier")?;
        let verifier = Arc::new(AnyCertificate { provider });
        let mut config =
            builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        // A resumed session carries no certificate that could be looked at.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Network {
            strict: tls_connector(extra_roots)?,
            any: TlsConnector::from(Arc::new(config)),
            judge,
        })
    }

    /// Whether the certificate that was shown passes for that name.
    fn would_pass(&self, connection: &rustls::ClientConnection, name: &ServerName<'_>) -> bool {
        let Some([end_entity, intermediates @ ..]) = connection.peer_certificates() else {
            return false;
        };
        self.judge.verify_server_cert(end_entity, intermediates, name, &[], UnixTime::now()).is_ok()
    }
}

impl Connect for Network {
    async fn connect(&self, to: SocketAddr, from: Option<IpAddr>) -> io::Result<BoxStream> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(from) = from {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    async fn secure(
        &self,
        stream: BoxStream,
        server_name: &str,
        verify: Verify,
    ) -> Result<Secured, String> {
        let name = ServerName::try_from(server_name.to_owned())
            .map_err(|error| format!("{server_name}: {error}"))?;
        let connector = if verify == Verify::Require { &self.strict } else { &self.any };
        let stream =
            connector.connect(name.clone(), stream).await.map_err(|error| error.to_string())?;
        let (_, connection) = stream.get_ref();
        let peer_verified = verify == Verify::Require || self.would_pass(connection, &name);
        let used = tls::used(
            connection.protocol_version(),
            connection.negotiated_cipher_suite(),
            peer_verified,
        );
        let binding = tls::client_channel_binding(connection);
        Ok(Secured { stream: Box::new(stream), used, session: waxwing_smtp::Tls { binding } })
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
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
