//! Certificates: from files, from ACME, or self-signed; replaced while running.
//!
//! Every listener shares one [`Certificates`], whose key can be replaced at any moment: new
//! handshakes use the new one, open connections go on. A server without its certificate yet (the
//! first minute with ACME) answers with a self-signed one rather than not at all.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, RwLock};

use anyhow::{Context as _, Result, bail};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use waxwing_message::journey::TlsUsed;
use waxwing_sasl::ChannelBinding;

/// The certificate in use.
#[derive(Debug)]
pub struct Certificates {
    current: RwLock<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl Certificates {
    /// Begins with this one.
    pub fn new(key: CertifiedKey) -> Arc<Certificates> {
        Arc::new(Certificates { current: RwLock::new(Arc::new(key)) })
    }

    fn current(&self) -> Arc<CertifiedKey> {
        self.current.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// From now on, this one.
    pub fn replace(&self, key: CertifiedKey) {
        *self.current.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = Arc::new(key);
    }

    /// The TLS settings of every listener: TLS 1.2 and 1.3, no client certificates.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<rustls::ServerConfig>> {
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .context("TLS provider")?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        // Sessions are kept by the client in tickets: nothing grows here with the number of peers.
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().context("TLS ticket key")?;
        Ok(Arc::new(config))
    }
}

/// The one cryptography provider of the program.
pub fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        CryptoProvider::get_default().cloned().expect("a provider was just installed")
    })
}

/// Reads a chain and its key from PEM files and checks that they belong together.
pub fn from_files(certificate: &Path, key: &Path) -> Result<CertifiedKey> {
    let chain = fs::read(certificate)
        .with_context(|| format!("cannot read the certificate {}", certificate.display()))?;
    let secret = fs::read(key).with_context(|| format!("cannot read the key {}", key.display()))?;
    from_pem(&chain, &secret)
        .with_context(|| format!("{} and {} cannot be used", certificate.display(), key.display()))
}

/// The same, from PEM text.
pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<CertifiedKey> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .context("the certificate is not PEM")?;
    if chain.is_empty() {
        bail!("there is no certificate in the file");
    }
    let key = PrivateKeyDer::from_pem_slice(key).context("the key is not PEM")?;
    CertifiedKey::from_der(chain, key, &provider())
        .context("the key does not belong to the certificate")
}

/// When a certificate ends, in seconds since 1970.
pub fn not_after(key: &CertifiedKey) -> Option<i64> {
    let (_, certificate) = x509_parser::parse_x509_certificate(key.cert.first()?).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// When it began, in seconds since 1970.
pub fn not_before(key: &CertifiedKey) -> Option<i64> {
    let (_, certificate) = x509_parser::parse_x509_certificate(key.cert.first()?).ok()?;
    Some(certificate.validity().not_before.timestamp())
}

/// A self-signed certificate for these names, kept in the folder so that it stays the same from
/// start to start; made anew when the names have changed.
pub fn self_signed(folder: &Path, names: &[String]) -> Result<CertifiedKey> {
    let (certificate, key, for_names) = (
        folder.join("self-signed.pem"),
        folder.join("self-signed.key"),
        folder.join("self-signed.names"),
    );
    let wanted = names.join("\n");
    if fs::read_to_string(&for_names).is_ok_and(|found| found == wanted)
        && let Ok(found) = from_files(&certificate, &key)
    {
        return Ok(found);
    }
    let made = rcgen::generate_simple_self_signed(names.to_vec())
        .context("making a self-signed certificate")?;
    write_secret(&key, made.signing_key.serialize_pem().as_bytes())?;
    write_secret(&certificate, made.cert.pem().as_bytes())?;
    write_secret(&for_names, wanted.as_bytes())?;
    from_files(&certificate, &key)
}

/// Writes a file that only we may read, whole or not at all.
pub fn write_secret(path: &Path, content: &[u8]) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let folder = path.parent().context("a file needs a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let draft = path.with_extension(format!("new-{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// What was negotiated, for the journey.
pub fn used(
    version: Option<rustls::ProtocolVersion>,
    suite: Option<rustls::SupportedCipherSuite>,
    peer_verified: bool,
) -> TlsUsed {
    let version = match version {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
        other => format!("{other:?}"),
    };
    let cipher = suite.map_or_else(String::new, |suite| format!("{:?}", suite.suite()));
    TlsUsed { version, cipher, peer_verified }
}

/// `tls-exporter` channel binding: RFC 9266 §2. Only of TLS 1.3 and of TLS 1.2 with the extended
/// master secret, which the library always asks for; it fails where it was not agreed.
pub fn channel_binding(connection: &rustls::ServerConnection) -> Option<ChannelBinding> {
    connection.export_keying_material([0u8; 32], BINDING_LABEL, Some(b"")).ok().map(ChannelBinding)
}

/// The same at the client's end.
pub fn client_channel_binding(connection: &rustls::ClientConnection) -> Option<ChannelBinding> {
    connection.export_keying_material([0u8; 32], BINDING_LABEL, Some(b"")).ok().map(ChannelBinding)
}

const BINDING_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_signed_certificate_stays_the_same_until_its_names_change() {
        let folder = tempfile::tempdir().unwrap();
        let first = self_signed(folder.path(), &["a.test".into()]).unwrap();
        let again = self_signed(folder.path(), &["a.test".into()]).unwrap();
        let other = self_signed(folder.path(), &["b.test".into()]).unwrap();
        assert_eq!(first.cert, again.cert);
        assert_ne!(first.cert, other.cert);
        assert!(not_after(&first).unwrap() > not_before(&first).unwrap());
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let a = rcgen::generate_simple_self_signed(vec!["a.test".into()]).unwrap();
        let b = rcgen::generate_simple_self_signed(vec!["b.test".into()]).unwrap();
        let error = from_pem(a.cert.pem().as_bytes(), b.signing_key.serialize_pem().as_bytes())
            .unwrap_err();
        assert!(error.to_string().contains("does not belong"), "{error:#}");
    }

    #[test]
    fn secrets_are_readable_by_their_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/key");
        write_secret(&path, b"x").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
