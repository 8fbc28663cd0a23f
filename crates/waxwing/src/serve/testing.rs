//! For tests of this crate: an authority of our own, and a store in a folder.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use waxwing_store::{OpenSettings, Store};

use super::tls;

/// Signs certificates.
pub struct Authority {
    pub root: CertificateDer<'static>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Test authority");
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap();
        let (pem, root) = (root.pem(), root.der().clone());
        Authority { root, pem, issuer: Issuer::new(params, key) }
    }

    /// Its root, as a file holds it.
    pub fn root_pem(&self) -> &str {
        &self.pem
    }

    /// A server's chain, the root last, and its key.
    pub fn chain(
        &self,
        names: &[&str],
        end: (i32, u8, u8),
    ) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = rcgen::date_time_ymd(end.0, end.1, end.2);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (vec![certificate.der().clone(), self.root.clone()], secret)
    }

    /// A server with a certificate for these names.
    pub fn acceptor(&self, names: &[&str]) -> TlsAcceptor {
        let (chain, key) = self.chain(names, (2100, 1, 1));
        acceptor(chain, key)
    }

    /// A client that trusts this authority alone.
    pub fn connector(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }
}

/// A server that shows this chain.
pub fn acceptor(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> TlsAcceptor {
    let config = rustls::ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Answers one HTTPS request for an MTA-STS policy with this, at the port that it gives.
pub async fn answer_https(acceptor: TlsAcceptor, answer: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = acceptor.accept(stream).await else { return };
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let request = String::from_utf8(request).unwrap().to_lowercase();
        assert!(request.starts_with("get /.well-known/mta-sts.txt http/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nhost: mta-sts."), "{request}");
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    });
    port
}

/// An empty store, and the folder that it lives in.
pub async fn folder_store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let settings = OpenSettings {
        database_url: format!("sqlite:{}", folder.path().join("wax.db").display()),
        blobs: None,
        spool_folder: folder.path().to_owned(),
        node: "test".to_owned(),
    };
    let store = Store::open(settings).await.unwrap();
    (folder, store)
}
