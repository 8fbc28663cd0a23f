//! A certificate authority of the test's own, so that clients check certificates for real.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::CertificateDer;

/// The authority: its own certificate as a PEM file, and the key that signs others.
pub struct Authority {
    /// For clients: `--cacert` and its like.
    pub root: PathBuf,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
}

/// A certificate (with its chain) and its key, as PEM files.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The chain.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

impl Authority {
    /// Makes one, with its files in `folder`.
    pub fn new(folder: &Path) -> Authority {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Root of a test");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let root = folder.join("root.pem");
        std::fs::write(&root, certificate.pem()).expect("root.pem can be written");
        Authority {
            root,
            der: certificate.der().clone(),
            issuer: Issuer::new(params, key),
            folder: folder.to_owned(),
        }
    }

    /// A server certificate, in the files `NAME.pem` and `NAME.key` of the authority's folder.
    pub fn issue(&self, name: &str, addresses: &[IpAddr]) -> Pair {
        let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        let more: Vec<&str> = addresses.iter().map(String::as_str).collect();
        self.issue_with(name, &more)
    }

    /// The same with more names.
    pub fn issue_with(&self, name: &str, more: &[&str]) -> Pair {
        let mut names = vec![name.to_owned()];
        names.extend(more.iter().map(ToString::to_string));
        let mut params = CertificateParams::new(names).expect("plain names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let pair = Pair {
            certificate: self.folder.join(format!("{name}.pem")),
            key: self.folder.join(format!("{name}.key")),
        };
        std::fs::write(&pair.certificate, certificate.pem()).expect("written");
        std::fs::write(&pair.key, key.serialize_pem()).expect("written");
        pair
    }

    /// A client that trusts this authority and nobody else.
    pub fn client(&self) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.der.clone()).expect("our own root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("aws-lc has them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}
