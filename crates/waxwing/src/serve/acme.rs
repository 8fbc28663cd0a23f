//! Certificates from an ACME authority (RFC 8555), by the HTTP challenge (§8.3), renewed when a
//! third of their life is left.
//!
//! Two parts that share a [`Tokens`]: [`super::http`], which answers challenges, and the task here
//! that orders, waits and stores. Account, key and chain are kept in `acme/` of the data folder,
//! readable by us alone.
//!
//! Some names are wanted always, others ([`MoreNames`]) as long as they lead here: a certificate
//! that has them and more is good, one that lacks any is ordered anew. When an order with the
//! others fails, one without them is placed rather than none.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hyper::StatusCode;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount,
    NewOrder, OrderStatus, RetryPolicy,
};
use rustls::sign::CertifiedKey;
use tracing::{info, warn};

use super::router::{self, Answering, Asked, Room};
use super::tls::{self, Certificates};
use crate::config;

/// How often the certificate's age and names are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);
/// How long an order may take in all.
const ORDER_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// How long after a failure it is tried again: authorities count failures.
const RETRY_AFTER: Duration = Duration::from_secs(15 * 60);
/// Let's Encrypt puts at most 100 names into a certificate.
const MAX_MORE_NAMES: usize = 80;

/// Challenges waiting to be asked for: token to key authorisation.
#[derive(Clone, Default)]
pub struct Tokens(Arc<Mutex<HashMap<String, String>>>);

impl Tokens {
    fn get(&self, token: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get(token).cloned()
    }
    /// The answer to a challenge that waits.
    fn found(&self, path: &str) -> Option<String> {
        self.get(path.strip_prefix("/.well-known/acme-challenge/")?)
    }
    pub(super) fn set(&self, token: &str, answer: String) {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .insert(token.to_owned(), answer);
    }
    fn clear(&self) {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clear();
    }
}

/// RFC 8555 §8.3: in clear text, whatever the host.
impl Room for Tokens {
    fn answer<'a>(&'a self, asked: &'a Asked) -> Answering<'a> {
        let found = if asked.secure || !asked.is_read() { None } else { self.found(&asked.path) };
        Box::pin(std::future::ready(found.map(|text| router::page(StatusCode::OK, text))))
    }
}

/// Finds the names that are wanted beside the lasting ones.
pub type MoreNames =
    Box<dyn Fn() -> std::pin::Pin<Box<dyn Future<Output = Vec<String>> + Send>> + Send + Sync>;

/// Where ACME keeps its files.
pub struct Keeper {
    folder: PathBuf,
    settings: config::Acme,
    names: Vec<String>,
    more: Option<MoreNames>,
    tokens: Tokens,
}

impl Keeper {
    /// For these names, with files in `data/acme`.
    pub fn new(data: &Path, settings: config::Acme, names: Vec<String>, tokens: Tokens) -> Keeper {
        Keeper { folder: data.join("acme"), settings, names, more: None, tokens }
    }

    /// With more names, as long as they are wanted.
    pub fn and(mut self, more: Option<MoreNames>) -> Keeper {
        self.more = more;
        self
    }

    /// The certificate of an earlier run, if it is for our lasting names and still good.
    pub fn stored(&self, now_secs: i64) -> Option<CertifiedKey> {
        self.stored_for(&self.names, now_secs)
    }

    fn stored_for(&self, wanted: &[String], now_secs: i64) -> Option<CertifiedKey> {
        let names = std::fs::read_to_string(self.folder.join("names")).ok()?;
        let found =
            tls::from_files(&self.folder.join("certificate.pem"), &self.folder.join("key.pem"))
                .ok()?;
        let has_all = wanted.iter().all(|name| names.lines().any(|had| had == name));
        (has_all && tls::not_after(&found)? > now_secs).then_some(found)
    }

    /// Orders and renews for ever; each new certificate is put into use at once.
    pub async fn run(self, certificates: Arc<Certificates>) {
        loop {
            let now_secs = jiff::Timestamp::now().as_second();
            let mut wanted = self.names.clone();
            if let Some(more) = &self.more {
                wanted.extend(more().await.into_iter().take(MAX_MORE_NAMES));
            }
            let fresh = |names: &[String]| {
                self.stored_for(names, now_secs).is_some_and(|found| !due(&found, now_secs))
            };
            let mut pause = LOOK_EVERY;
            if !fresh(&wanted) {
                let mut ordered = self.order_in_time(&wanted).await;
                if ordered.is_err() && wanted != self.names && !fresh(&self.names) {
                    warn!("no certificate for {wanted:?}; trying without the MTA-STS names");
                    ordered = self.order_in_time(&self.names).await;
                }
                match ordered {
                    Ok(key) => {
                        info!(names = ?wanted, "a new certificate is in use");
                        certificates.replace(key);
                    }
                    Err(error) => {
                        warn!(
                            "no certificate from {}: {error:#}. Its authority must reach http://{}/ (port 80) from outside; trying again in 15 minutes",
                            self.settings.directory, self.names[0]
                        );
                        pause = RETRY_AFTER;
                    }
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn order_in_time(&self, names: &[String]) -> Result<CertifiedKey> {
        tokio::time::timeout(ORDER_TIMEOUT, self.order(names)).await.unwrap_or_else(|_| bail_slow())
    }

    async fn order(&self, names: &[String]) -> Result<CertifiedKey> {
        let account = self.account().await?;
        let identifiers: Vec<Identifier> = names.iter().cloned().map(Identifier::Dns).collect();
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
        tls::write_secret(&self.folder.join("names"), names.join("\n").as_bytes())?;
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
    fn a_certificate_with_more_names_than_wanted_is_good() {
        let folder = tempfile::tempdir().unwrap();
        let settings = config::Acme {
            email: "a@a.test".to_owned(),
            directory: "https://acme.test/".to_owned(),
            root: None,
        };
        let names = vec!["a.test".to_owned()];
        let keeper = Keeper::new(folder.path(), settings, names, Tokens::default());
        assert!(keeper.stored(0).is_none());
        let made = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        let write = |name: &str, text: &str| {
            tls::write_secret(&folder.path().join("acme").join(name), text.as_bytes()).unwrap();
        };
        write("key.pem", &made.signing_key.serialize_pem());
        write("certificate.pem", &made.cert.pem());
        write("names", "a.test\nmta-sts.a.test");
        assert!(keeper.stored(0).is_some());
        let wanted = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            keeper.stored_for(&names, 0).is_some()
        };
        assert!(wanted(&["a.test", "mta-sts.a.test"]));
        assert!(!wanted(&["a.test", "mta-sts.b.test"]));
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
