//! What the URL of a PostgreSQL database says.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::client::explain;
use crate::OpenError;

/// Splits off what says how to encrypt, and reads the rest.
///
/// `sslmode=disable` (also when nothing is said) speaks plainly; `require`, `verify-ca` and
/// `verify-full` all check the certificate and its name: encrypting to one does not know whom is not
/// offered. `sslrootcert=FILE` names an authority of one's own (PEM).
pub(super) fn configure(url: &str) -> Result<(Config, Option<MakeRustlsConnect>), OpenError> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let wrong = |why: String| OpenError::Url { url: without_password(base), why };
    let mut kept = Vec::new();
    let (mut encrypt, mut authority) = (false, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", "disable" | "allow" | "prefer")) => encrypt = false,
            Some(("sslmode", "require" | "verify-ca" | "verify-full")) => encrypt = true,
            Some(("sslmode", other)) => return Err(wrong(format!("sslmode={other}"))),
            Some(("sslrootcert", file)) => authority = Some(file.to_owned()),
            _ => kept.push(pair),
        }
    }
    let joined =
        if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
    let mut config = Config::from_str(&joined).map_err(|e| wrong(explain(&e)))?;
    config.application_name("waxwing");
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(5));
    }
    // A server that is gone without a word is noticed within half a minute, in use or idle.
    config.tcp_user_timeout(Duration::from_secs(15));
    config.keepalives_idle(Duration::from_secs(15));
    config.keepalives_interval(Duration::from_secs(5));
    config.keepalives_retries(3);
    if !encrypt {
        config.ssl_mode(tokio_postgres::config::SslMode::Disable);
        return Ok((config, None));
    }
    config.ssl_mode(tokio_postgres::config::SslMode::Require);
    let mut roots = rustls::RootCertStore::empty();
    match authority {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(file) => {
            use rustls::pki_types::pem::PemObject as _;
            let certificates = rustls::pki_types::CertificateDer::pem_file_iter(&file)
                .and_then(|found| found.collect::<Result<Vec<_>, _>>())
                .map_err(|e| wrong(format!("sslrootcert={file}: {e}")))?;
            roots.add_parsable_certificates(certificates);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((config, Some(MakeRustlsConnect::new(tls))))
}

pub(super) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    match rest.split_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_reach_error_texts() {
        let Err(error) = configure("postgres://wax:secret@db/mail?sslmode=maybe") else {
            panic!("accepted")
        };
        let text = error.to_string();
        assert!(text.contains("sslmode=maybe") && text.contains("wax@db"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
