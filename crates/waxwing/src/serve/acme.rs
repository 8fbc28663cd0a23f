//! Certificates from an ACME authority (RFC 8555), by the HTTP challenge (§8.3), renewed when a
//! third of their life is left.
//!
//! Two parts that share a [`Tokens`]: a very small HTTP service that answers challenges and
//! nothing else, and the task that orders, waits and stores. Account, key and chain are kept in
//! `acme/` of the data folder, readable by us alone.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount,
    NewOrder, OrderStatus, RetryPolicy,
};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tracing::{info, warn};

use super::tls::{self, Certificates};
use crate::config;

/// How often the certificate's age is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(6 * 3_600);
/// How long an order may take in all.
const ORDER_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// How long after a failure it is tried again: authorities count failures.
const RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

/// Challenges waiting to be asked for: token to key authorisation.
#[derive(Clone, Default)]
pub struct Tokens(Arc<Mutex<HashMap<String, String>>>);

impl Tokens {
    fn get(&self, token: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get(token).cloned()
    }
    fn set(&self, token: &str, answer: String) {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .insert(token.to_owned(), answer);
    }
    fn clear(&self) {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clear();
    }
}

/// Serves one HTTP connection: `/.well-known/acme-challenge/TOKEN`, and 404 for all else.
pub async fn serve_http(stream: TcpStream, tokens: Tokens) {
    let answer = move |request: Request<Incoming>| {
        let tokens = tokens.clone();
        async move { Ok::<_, Infallible>(respond(request.uri().path(), &tokens)) }
    };
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10))
        .max_buf_size(16 * 1024)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer));
    // A peer that breaks off or stalls is of no interest.
    let _ = tokio::time::timeout(Duration::from_secs(30), serving).await;
}

fn respond(path: &str, tokens: &Tokens) -> Response<Full<Bytes>> {
    let found =
        path.strip_prefix("/.well-known/acme-challenge/").and_then(|token| tokens.get(token));
    let (status, body) = match found {
        Some(answer) => (StatusCode::OK, answer),
        None => (StatusCode::NOT_FOUND, "nothing here\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert("content-type", hyper::header::HeaderValue::from_static("text/plain"));
    response
}

/// Where ACME keeps its files.
pub struct Keeper {
    folder: PathBuf,
    settings: config::Acme,
    names: Vec<String>,
    tokens: Tokens,
}

impl Keeper {
    /// For these names, with files in `data/acme`.
    pub fn new(data: &Path, settings: config::Acme, names: Vec<String>, tokens: Tokens) -> Keeper {
        Keeper { folder: data.join("acme"), settings, names, tokens }
    }

    /// The certificate of an earlier run, if it is for the same names and still good.
    pub fn stored(&self, now_secs: i64) -> Option<CertifiedKey> {
        let names = std::fs::read_to_string(self.folder.join("names")).ok()?;
        let found =
            tls::from_files(&self.folder.join("certificate.pem"), &self.folder.join("key.pem"))
                .ok()?;
        (names == self.names.join("\n") && tls::not_after(&found)? > now_secs).then_some(found)
    }

    /// Orders and renews for ever; each new certificate is put into use at once.
    pub async fn run(self, certificates: Arc<Certificates>) {
        loop {
            let now_secs = jiff::Timestamp::now().as_second();
            let pause = match self.stored(now_secs) {
                Some(found) if !due(&found, now_secs) => LOOK_EVERY,
                _ => match tokio::time::timeout(ORDER_TIMEOUT, self.order())
                    .await
                    .unwrap_or_else(|_| bail_slow())
                {
                    Ok(key) => {
                        info!(names = ?self.names, "a new certificate is in use");
                        certificates.replace(key);
                        LOOK_EVERY
                    }
                    Err(error) => {
                        warn!(
                            "no certificate from {}: {error:#}. Its authority must reach http://{}/ (port 80) from outside; trying again in 15 minutes",
                            self.settings.directory, self.names[0]
                        );
                        RETRY_AFTER
                    }
                },
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn order(&self) -> Result<CertifiedKey> {
        let account = self.account().await?;
        let identifiers: Vec<Identifier> =
            self.names.iter().cloned().map(Identifier::Dns).collect();
        let mut order =
            account.new_order(&NewOrder::new(&identifiers)).await.context("placing the order")?;
        let outcome = self.authorise(&mut order).await;
        self.tokens.clear();
        outcome?;
        let key = order.finalize().await.context("finalising the order")?;
        let chain = order
            .poll_certificate(&RetryPolicy::default())
            .await
            .context("fetching the certificate")?;
        let certified = tls::from_pem(chain.as_bytes(), key.as_bytes())?;
        tls::write_secret(&self.folder.join("key.pem"), key.as_bytes())?;
        tls::write_secret(&self.folder.join("certificate.pem"), chain.as_bytes())?;
        tls::write_secret(&self.folder.join("names"), self.names.join("\n").as_bytes())?;
        Ok(certified)
    }

    async fn authorise(&self, order: &mut instant_acme::Order) -> Result<()> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.context("reading an authorisation")?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let mut challenge = authorization
                .challenge(ChallengeType::Http01)
                .context("the authority offers no http-01 challenge")?;
            let token = challenge.token.clone();
            self.tokens.set(&token, challenge.key_authorization().as_str().to_owned());
            challenge.set_ready().await.context("announcing the challenge")?;
        }
        match order
            .poll_ready(&RetryPolicy::default())
            .await
            .context("waiting for the authority")?
        {
            OrderStatus::Ready => Ok(()),
            other => bail!("the authority could not confirm the names: the order is {other:?}"),
        }
    }

    async fn account(&self) -> Result<Account> {
        let builder = match &self.settings.root {
            Some(root) => Account::builder_with_root(root)
                .with_context(|| format!("cannot use {}", root.display()))?,
            None => Account::builder()?,
        };
        let path = self.folder.join("account.json");
        if let Ok(kept) = std::fs::read(&path) {
            let credentials: AccountCredentials =
                serde_json::from_slice(&kept).with_context(|| {
                    format!("{} is damaged: remove it to register anew", path.display())
                })?;
            return builder.from_credentials(credentials).await.context("using the ACME account");
        }
        let contact = format!("mailto:{}", self.settings.email);
        let new = NewAccount {
            contact: &[&contact],
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let (account, credentials) = builder
            .create(&new, self.settings.directory.clone(), None)
            .await
            .context("registering with the authority")?;
        tls::write_secret(&path, &serde_json::to_vec(&credentials)?)?;
        Ok(account)
    }
}

fn bail_slow() -> Result<CertifiedKey> {
    bail!("the authority did not answer within {} minutes", ORDER_TIMEOUT.as_secs() / 60)
}

/// A third of its life or less is left.
fn due(key: &CertifiedKey, now_secs: i64) -> bool {
    match (tls::not_before(key), tls::not_after(key)) {
        (Some(from), Some(to)) => to - now_secs <= (to - from) / 3,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_tokens_are_answered() {
        let tokens = Tokens::default();
        tokens.set("abc", "abc.thumb".into());
        assert_eq!(respond("/.well-known/acme-challenge/abc", &tokens).status(), 200);
        for path in ["/", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/x", "/abc"] {
            assert_eq!(respond(path, &tokens).status(), 404, "{path}");
        }
    }

    #[test]
    fn renewal_is_due_in_the_last_third() {
        let folder = tempfile::tempdir().unwrap();
        let key = tls::self_signed(folder.path(), &["a.test".into()]).unwrap();
        let (from, to) = (tls::not_before(&key).unwrap(), tls::not_after(&key).unwrap());
        assert!(!due(&key, from + (to - from) / 2));
        assert!(due(&key, from + (to - from) * 3 / 4));
    }
}
