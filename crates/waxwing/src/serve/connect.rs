//! Connecting to other servers: TCP, then TLS.
//!
//! Opportunistic TLS (RFC 7435) takes any certificate, because the alternative is clear text; but
//! whether it would have passed is looked at afterwards and goes into the journey. Where TLS is
//! required to a known name, a certificate that does not pass ends the handshake; and under DANE
//! (RFC 7672) one that the host's TLSA records do not name, whoever signed it.

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
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;
use waxwing_delivery::outbound::{BoxStream, Connect, Secured, TlsFailure, TlsResult, Verify};
use waxwing_mailauth::policy::dane::{Dane, DaneError};

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

/// Whether an address can stand in the public DNS: not loopback, link-local, private (RFC 1918,
/// RFC 6598) or unique local (RFC 4193).
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            !(ip.is_loopback()
                || ip.is_link_local()
                || ip.is_private()
                || ip.is_unspecified()
                || shared)
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unicast_link_local()
                || ip.is_unique_local())
        }
    }
}

/// The network as delivery sees it: TCP, and TLS in every strength.
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
        Ok(Network {
            strict: tls_connector(extra_roots)?,
            any: connector_with(WithoutRoots { provider, dane: None })?,
            judge,
        })
    }

    /// Why the certificate that was shown would not have passed for that name.
    fn doubt(
        &self,
        connection: &rustls::ClientConnection,
        name: &ServerName<'_>,
    ) -> Option<TlsFailure> {
        let Some([end_entity, intermediates @ ..]) = connection.peer_certificates() else {
            return Some("the server showed no certificate".to_owned().into());
        };
        let judged =
            self.judge.verify_server_cert(end_entity, intermediates, name, &[], UnixTime::now());
        judged.err().map(|error| failure(&error))
    }
}

/// A connector with a verifier of our own.
fn connector_with(verifier: impl ServerCertVerifier + 'static) -> Result<TlsConnector> {
    let mut config = builder()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // A resumed session carries no certificate that could be looked at.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// What ended a handshake, as TLS-RPT sorts it (RFC 8460 §4.3.1).
fn failure(error: &rustls::Error) -> TlsFailure {
    let rustls::Error::InvalidCertificate(why) = error else {
        return error.to_string().into();
    };
    let result = match why {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => TlsResult::CertificateExpired,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsResult::CertificateHostMismatch
        }
        CertificateError::Other(OtherError(dane)) => {
            return match dane.downcast_ref::<DaneError>() {
                Some(error) => dane_failure(error),
                None => TlsFailure {
                    result: TlsResult::CertificateNotTrusted,
                    reason: dane.to_string(),
                },
            };
        }
        _ => TlsResult::CertificateNotTrusted,
    };
    TlsFailure { result, reason: error.to_string() }
}

fn dane_failure(error: &DaneError) -> TlsFailure {
    let result = match error {
        DaneError::WrongName => TlsResult::CertificateHostMismatch,
        DaneError::OutOfDate => TlsResult::CertificateExpired,
        DaneError::NoMatch | DaneError::Chain(_) => TlsResult::CertificateNotTrusted,
    };
    TlsFailure { result, reason: error.to_string() }
}

/// The error of a handshake over a stream: rustls's own, or the network's.
fn handshake_failure(error: &io::Error) -> TlsFailure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(inner) => failure(inner),
        None => error.to_string().into(),
    }
}

/// Whether a handshake ended for the server's certificate.
pub fn is_about_certificate(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
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
    ) -> Result<Secured, TlsFailure> {
        let name = ServerName::try_from(server_name.to_owned())
            .map_err(|error| format!("{server_name}: {error}"))?;
        let connector = match &verify {
            Verify::Record => self.any.clone(),
            Verify::Require => self.strict.clone(),
            Verify::Dane(dane) => {
                let provider = tls::provider();
                connector_with(WithoutRoots { provider, dane: Some(dane.clone()) })
                    .map_err(|error| format!("{error:#}"))?
            }
        };
        let stream = connector
            .connect(name.clone(), stream)
            .await
            .map_err(|error| handshake_failure(&error))?;
        let (_, connection) = stream.get_ref();
        let doubt = match verify {
            Verify::Record => self.doubt(connection, &name),
            Verify::Require | Verify::Dane(_) => None,
        };
        let used = tls::used(
            connection.protocol_version(),
            connection.negotiated_cipher_suite(),
            doubt.is_none(),
        );
        let binding = tls::client_channel_binding(connection);
        let session = waxwing_smtp::Tls { binding };
        Ok(Secured { stream: Box::new(stream), used, session, doubt })
    }
}

/// Asks no public root: takes a chain that a host's TLSA records name (RFC 7672 §3.1), or any where
/// there are none. That the peer holds its key is always checked.
#[derive(Debug)]
struct WithoutRoots {
    provider: Arc<CryptoProvider>,
    dane: Option<Arc<Dane>>,
}

impl ServerCertVerifier for WithoutRoots {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(dane) = &self.dane else { return Ok(ServerCertVerified::assertion()) };
        let chain: Vec<&[u8]> =
            std::iter::once(end_entity).chain(intermediates).map(AsRef::as_ref).collect();
        match dane.check(&chain, now.as_secs()) {
            Ok(_) => Ok(ServerCertVerified::assertion()),
            Err(error) => Err(CertificateError::Other(OtherError(Arc::new(error))).into()),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::testing::{Authority, acceptor};
    use waxwing_dns::Tlsa;

    const MX: &str = "mx.wing.test";
    /// Far ahead, and long ago.
    const GOOD: (i32, u8, u8) = (2100, 1, 1);
    const BAD: (i32, u8, u8) = (2020, 1, 1);

    /// A handshake over a pipe with a server that has a certificate for these names until then.
    /// `verify` is made from the server's certificate and its authority's.
    async fn shake(
        names: &[&str],
        end: (i32, u8, u8),
        verify: impl Fn(&[u8], &[u8]) -> Verify,
    ) -> Result<Secured, TlsFailure> {
        let authority = Authority::new();
        let (chain, key) = authority.chain(names, end);
        let verify = verify(&chain[0], &authority.root);
        let acceptor = acceptor(chain, key);
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let serving = tokio::spawn(async move { acceptor.accept(theirs).await });
        let network = Network::new(None).unwrap();
        let secured = network.secure(Box::new(ours), MX, verify).await;
        // Both ends see the same outcome.
        let accepted = serving.await.unwrap();
        assert!(secured.is_err() || accepted.is_ok());
        secured
    }

    fn dane(usage: u8, certificate: &[u8]) -> Verify {
        // Matching type 0: the whole certificate, so that no digest is computed by the test.
        let record = Tlsa { usage, selector: 0, matching: 0, data: certificate.to_vec() };
        Verify::Dane(Arc::new(Dane::new(&[record], vec![MX.to_owned()]).unwrap()))
    }

    #[tokio::test]
    async fn a_certificate_that_dane_names_passes_whatever_it_says() {
        for (names, end) in [(MX, GOOD), ("other.test", GOOD), (MX, BAD)] {
            let secured = shake(&[names], end, |own, _| dane(3, own)).await.unwrap();
            assert!(secured.used.peer_verified && secured.doubt.is_none());
        }
    }

    #[tokio::test]
    async fn below_an_anchor_that_dane_names_name_and_date_count() {
        let secured = shake(&[MX], GOOD, |_, root| dane(2, root)).await.unwrap();
        assert!(secured.used.peer_verified);
        for (names, end, result) in [
            ("other.test", GOOD, TlsResult::CertificateHostMismatch),
            (MX, BAD, TlsResult::CertificateExpired),
        ] {
            let failed = shake(&[names], end, |_, root| dane(2, root)).await.err().unwrap();
            assert_eq!(failed.result, result, "{failed}");
        }
    }

    #[tokio::test]
    async fn a_certificate_that_dane_does_not_name_ends_the_handshake() {
        let stranger = Authority::new();
        for usage in [2, 3] {
            let failed =
                shake(&[MX], GOOD, |_, _| dane(usage, &stranger.root)).await.err().unwrap();
            assert_eq!(failed.result, TlsResult::CertificateNotTrusted);
            assert!(failed.reason.contains("no TLSA record fits"), "{failed}");
        }
    }

    #[tokio::test]
    async fn an_unknown_authority_is_noted_or_refused() {
        let secured = shake(&[MX], GOOD, |_, _| Verify::Record).await.unwrap();
        assert!(!secured.used.peer_verified);
        assert_eq!(secured.doubt.unwrap().result, TlsResult::CertificateNotTrusted);
        let failed = shake(&[MX], GOOD, |_, _| Verify::Require).await.err().unwrap();
        assert_eq!(failed.result, TlsResult::CertificateNotTrusted);
    }

    #[tokio::test]
    async fn the_public_roots_judge_name_and_date() {
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.pem");
        std::fs::write(&path, authority.root_pem()).unwrap();
        let network = Network::new(Some(&path)).unwrap();
        for (names, end, result) in [
            (MX, GOOD, None),
            ("other.test", GOOD, Some(TlsResult::CertificateHostMismatch)),
            (MX, BAD, Some(TlsResult::CertificateExpired)),
        ] {
            for verify in [Verify::Record, Verify::Require] {
                let (chain, key) = authority.chain(&[names], end);
                let acceptor = acceptor(chain, key);
                let (ours, theirs) = tokio::io::duplex(64 * 1024);
                tokio::spawn(async move { acceptor.accept(theirs).await.map(|_| ()) });
                let strict = verify == Verify::Require;
                let found = match network.secure(Box::new(ours), MX, verify).await {
                    Ok(secured) => secured.doubt,
                    Err(failure) => {
                        assert!(strict);
                        Some(failure)
                    }
                };
                assert_eq!(found.map(|failure| failure.result), result);
            }
        }
    }
}
