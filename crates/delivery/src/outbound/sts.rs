//! MTA-STS policies of other domains (RFC 8461): found, fetched, kept, renewed.
//!
//! | the `_mta-sts` record says | a policy is kept | then |
//! |---|---|---|
//! | an id, the kept one's, fetched within a day | yes | the kept one |
//! | an id, the kept one's, fetched longer ago | yes | fetched again, so that it never runs out while in use (§10.2); the kept one when that fails |
//! | another id | yes | fetched; the kept one when that fails (§5.1) |
//! | an id | no | fetched; none when that fails |
//! | nothing, nonsense, or the DNS is away | yes | the kept one: taking the record away must not disarm it (§3.1, §10.2) |
//! | nothing, nonsense, or the DNS is away | no | none |
//!
//! A kept policy ends `max_age` after it was fetched. A failed fetch is not repeated for five minutes
//! (§3.3), and one domain's policy is fetched once however many messages wait for it. The record is
//! asked for at every attempt, so that nothing bounces before a new policy was looked for (§5.1).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use waxwing_dns::Resolve;
use waxwing_mailauth::policy::mta_sts::{self, Mode, Policy, Record};

use super::tls_report::TlsResult;
use crate::clock::{later, until};

/// How long a failed fetch is not repeated.
const FAILED_FOR: Duration = Duration::from_secs(5 * 60);
/// After so long a policy in use is fetched again, whatever its id.
const RENEWED_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Domains of which a failure or a fetch is remembered, and policies kept in memory.
const REMEMBERED_DOMAINS: usize = 10_000;

/// Fetches policy files.
pub trait FetchPolicy: Send + Sync {
    /// The file of a domain from `https://mta-sts.DOMAIN/.well-known/mta-sts.txt`, as RFC 8461 §3.3
    /// demands: certificate checked, no redirects, at most 64 KiB, within a minute.
    fn fetch<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Vec<u8>, FetchError>>;
}

/// Why a file was not had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The policy host's certificate does not hold.
    #[error("{0}")]
    Certificate(String),
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

/// A policy and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPolicy {
    /// Of the record that led to it.
    pub id: String,
    /// When it was fetched; it ends `max_age` later.
    pub fetched_at: Timestamp,
    /// The policy.
    pub policy: Policy,
}

impl KeptPolicy {
    fn is_over(&self, now: Timestamp) -> bool {
        later(self.fetched_at, Duration::from_secs(self.policy.max_age_secs.into())) <= now
    }
}

/// Keeps policies. What is lost is fetched again; until then its domain is unprotected, so a
/// lasting one is better than [`InMemory`].
pub trait PolicyCache: Send + Sync {
    /// What is kept for a domain, expired or not.
    fn get<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Option<Arc<KeptPolicy>>>;
    /// Keeps it, in place of an older one.
    fn put<'a>(&'a self, domain: &'a str, policy: Arc<KeptPolicy>) -> BoxFuture<'a, ()>;
}

/// A cache that ends with the process.
#[derive(Default)]
pub struct InMemory(Mutex<HashMap<String, Arc<KeptPolicy>>>);

impl PolicyCache for InMemory {
    fn get<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Option<Arc<KeptPolicy>>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(domain).cloned();
        Box::pin(async move { kept })
    }

    fn put<'a>(&'a self, domain: &'a str, policy: Arc<KeptPolicy>) -> BoxFuture<'a, ()> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= REMEMBERED_DOMAINS {
            let now = policy.fetched_at;
            kept.retain(|_, policy| !policy.is_over(now));
            // Still full: the one that was not renewed for the longest goes.
            let oldest = kept.iter().min_by_key(|(_, policy)| policy.fetched_at);
            if let Some(oldest) = oldest.map(|(domain, _)| domain.clone())
                && kept.len() >= REMEMBERED_DOMAINS
            {
                kept.remove(&oldest);
            }
        }
        kept.insert(domain.to_owned(), policy);
        Box::pin(async {})
    }
}

/// What is known of a domain.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The policy in force; never `mode: none`.
    pub policy: Option<Arc<KeptPolicy>>,
    /// What kept us from the newest one.
    pub trouble: Option<Trouble>,
}

/// Why the newest policy is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// As TLS-RPT has it.
    pub result: TlsResult,
    /// In words.
    pub reason: String,
}

/// Finds policies.
pub struct Sts {
    fetch: Arc<dyn FetchPolicy>,
    cache: Arc<dyn PolicyCache>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failures: HashMap<String, (Timestamp, Trouble)>,
    fetching: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
}

impl Sts {
    /// With these.
    pub fn new(fetch: Arc<dyn FetchPolicy>, cache: Arc<dyn PolicyCache>) -> Sts {
        Sts { fetch, cache, state: Mutex::default() }
    }

    /// The policy of a domain (lower case, A-labels).
    pub async fn find(&self, resolver: &impl Resolve, domain: &str, now: Timestamp) -> Found {
        let (id, mut trouble) = match record(resolver, domain).await {
            Ok(record) => (record.map(|record| record.id), None),
            Err(trouble) => (None, Some(trouble)),
        };
        let mut kept = self.kept(domain, now).await;
        if let Some(id) = id
            && !kept.as_ref().is_some_and(|kept| is_fresh(kept, &id, now))
        {
            match self.renew(domain, &id, now).await {
                Ok(fetched) => kept = Some(fetched),
                Err(why) => trouble = Some(why),
            }
        }
        Found { policy: kept.filter(|kept| kept.policy.mode != Mode::None), trouble }
    }

    async fn kept(&self, domain: &str, now: Timestamp) -> Option<Arc<KeptPolicy>> {
        self.cache.get(domain).await.filter(|kept| !kept.is_over(now))
    }

    /// Fetches, unless somebody else just did.
    async fn renew(
        &self,
        domain: &str,
        id: &str,
        now: Timestamp,
    ) -> Result<Arc<KeptPolicy>, Trouble> {
        let turn = self.lock().fetching.entry(domain.to_owned()).or_default().clone();
        let _turn = turn.lock().await;
        let result = self.renew_alone(domain, id, now).await;
        self.lock().fetching.remove(domain);
        result
    }

    async fn renew_alone(
        &self,
        domain: &str,
        id: &str,
        now: Timestamp,
    ) -> Result<Arc<KeptPolicy>, Trouble> {
        if let Some(kept) = self.kept(domain, now).await.filter(|kept| is_fresh(kept, id, now)) {
            return Ok(kept);
        }
        if let Some((failed_at, trouble)) = self.lock().failures.get(domain)
            && now < later(*failed_at, FAILED_FOR)
        {
            return Err(trouble.clone());
        }
        let result = self.fetch.fetch(domain).await.map_err(|error| Trouble::from(&error));
        let policy = result.and_then(|file| {
            Policy::parse(&file).map_err(|error| Trouble {
                result: TlsResult::StsPolicyInvalid,
                reason: error.to_string(),
            })
        });
        match policy {
            Ok(policy) => {
                let kept = Arc::new(KeptPolicy { id: id.to_owned(), fetched_at: now, policy });
                self.lock().failures.remove(domain);
                self.cache.put(domain, kept.clone()).await;
                Ok(kept)
            }
            Err(trouble) => {
                let failures = &mut self.lock().failures;
                if failures.len() >= REMEMBERED_DOMAINS {
                    failures.retain(|_, (at, _)| now < later(*at, FAILED_FOR));
                }
                if failures.len() < REMEMBERED_DOMAINS {
                    failures.insert(domain.to_owned(), (now, trouble.clone()));
                }
                Err(trouble)
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_fresh(kept: &KeptPolicy, id: &str, now: Timestamp) -> bool {
    kept.id == id && until(kept.fetched_at, now) < RENEWED_AFTER
}

/// The `_mta-sts` record: RFC 8461 §3.1. That the DNS is away is no trouble of the domain's.
async fn record(resolver: &impl Resolve, domain: &str) -> Result<Option<Record>, Trouble> {
    let Ok(answer) = resolver.txt(&mta_sts::record_name(domain)).await else { return Ok(None) };
    Record::select(answer.records.iter().map(Vec::as_slice)).map_err(|error| Trouble {
        result: TlsResult::StsPolicyInvalid,
        reason: format!("{}: {error}", mta_sts::record_name(domain)),
    })
}

impl From<&FetchError> for Trouble {
    fn from(error: &FetchError) -> Trouble {
        let result = match error {
            FetchError::Certificate(_) => TlsResult::StsWebpkiInvalid,
            FetchError::Other(_) => TlsResult::StsPolicyFetchError,
        };
        Trouble { result, reason: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use waxwing_dns::{FakeZone, Zone};

    /// Answers with this, and counts.
    struct Web(Mutex<Result<Vec<u8>, FetchError>>, AtomicUsize);

    impl FetchPolicy for Web {
        fn fetch<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Vec<u8>, FetchError>> {
            assert_eq!(domain, "wing.example");
            self.1.fetch_add(1, Relaxed);
            let answer = self.0.lock().unwrap().clone();
            Box::pin(async move {
                tokio::task::yield_now().await;
                answer
            })
        }
    }

    struct World {
        sts: Sts,
        web: Arc<Web>,
        zone: FakeZone,
        now: Timestamp,
    }

    fn file(mode: &str) -> Vec<u8> {
        format!("version: STSv1\nmode: {mode}\nmx: mx.wing.example\nmax_age: 604800\n").into_bytes()
    }

    impl World {
        fn new(id: Option<&str>) -> World {
            let web = Arc::new(Web(Mutex::new(Ok(file("enforce"))), AtomicUsize::new(0)));
            let sts = Sts::new(web.clone(), Arc::new(InMemory::default()));
            let world = World { sts, web, zone: FakeZone::new(), now: Timestamp::UNIX_EPOCH };
            world.publish(id);
            world
        }
        fn publish(&self, id: Option<&str>) {
            let text =
                id.map_or(String::new(), |id| format!("_mta-sts TXT \"v=STSv1; id={id}\"\n"));
            self.zone.insert(Zone::parse("wing.example", &text).unwrap());
        }
        fn answer(&self, answer: Result<Vec<u8>, FetchError>) {
            *self.web.0.lock().unwrap() = answer;
        }
        fn later(&mut self, hours: u64) {
            self.now = later(self.now, Duration::from_secs(hours * 3600));
        }
        async fn find(&self) -> (Option<Mode>, Option<TlsResult>) {
            let found = self.sts.find(&self.zone, "wing.example", self.now).await;
            (found.policy.map(|kept| kept.policy.mode), found.trouble.map(|t| t.result))
        }
        fn fetches(&self) -> usize {
            self.web.1.load(Relaxed)
        }
    }

    fn away() -> Result<Vec<u8>, FetchError> {
        Err(FetchError::Other("away".to_owned()))
    }

    #[tokio::test]
    async fn a_policy_is_fetched_once_and_kept() {
        let world = World::new(Some("1"));
        let many = (0..20).map(|_| world.find());
        for found in futures_util::future::join_all(many).await {
            assert_eq!(found, (Some(Mode::Enforce), None));
        }
        assert_eq!(world.fetches(), 1);
    }

    #[tokio::test]
    async fn no_record_means_no_policy_and_no_fetch() {
        let world = World::new(None);
        assert_eq!(world.find().await, (None, None));
        world.zone.time_out("_mta-sts.wing.example");
        assert_eq!(world.find().await, (None, None));
        assert_eq!(world.fetches(), 0);
    }

    #[tokio::test]
    async fn a_new_id_brings_a_new_policy() {
        let world = World::new(Some("1"));
        world.find().await;
        world.answer(Ok(file("testing")));
        assert_eq!(world.find().await.0, Some(Mode::Enforce));
        world.publish(Some("2"));
        assert_eq!(world.find().await.0, Some(Mode::Testing));
        world.answer(Ok(file("none")));
        world.publish(Some("3"));
        assert_eq!(world.find().await, (None, None));
        assert_eq!(world.find().await, (None, None));
        assert_eq!(world.fetches(), 3);
    }

    #[tokio::test]
    async fn taking_the_record_away_does_not_disarm_a_kept_policy() {
        let mut world = World::new(Some("1"));
        world.find().await;
        world.publish(None);
        world.answer(away());
        world.later(7 * 24 - 1);
        assert_eq!(world.find().await, (Some(Mode::Enforce), None));
        world.zone.servfail("_mta-sts.wing.example");
        assert_eq!(world.find().await, (Some(Mode::Enforce), None));
        world.later(1);
        assert_eq!(world.find().await, (None, None), "max_age is over");
    }

    #[tokio::test]
    async fn a_policy_in_use_is_renewed_each_day_and_survives_failures() {
        let mut world = World::new(Some("1"));
        world.find().await;
        for _ in 0..20 {
            world.later(25);
            assert_eq!(world.find().await, (Some(Mode::Enforce), None));
        }
        assert_eq!(world.fetches(), 21);
        world.answer(away());
        world.publish(Some("2"));
        assert_eq!(world.find().await, (Some(Mode::Enforce), Some(TlsResult::StsPolicyFetchError)));
        world.later(7 * 24);
        assert_eq!(world.find().await, (None, Some(TlsResult::StsPolicyFetchError)));
    }

    #[tokio::test]
    async fn a_failure_is_named_and_not_repeated_for_five_minutes() {
        let mut world = World::new(Some("1"));
        for (answer, result) in [
            (away(), TlsResult::StsPolicyFetchError),
            (Err(FetchError::Certificate("x".to_owned())), TlsResult::StsWebpkiInvalid),
            (Ok(b"<html>".to_vec()), TlsResult::StsPolicyInvalid),
        ] {
            world.answer(answer);
            assert_eq!(world.find().await, (None, Some(result)));
            assert_eq!(world.find().await, (None, Some(result)));
            world.later(1);
        }
        assert_eq!(world.fetches(), 3);
        let two = "_mta-sts TXT \"v=STSv1; id=1\"\n_mta-sts TXT \"v=STSv1; id=2\"\n";
        world.zone.insert(Zone::parse("wing.example", two).unwrap());
        assert_eq!(world.find().await, (None, Some(TlsResult::StsPolicyInvalid)));
        assert_eq!(world.fetches(), 3);
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let cache = InMemory::default();
        let policy = Policy::parse(&file("enforce")).unwrap();
        for index in 0..REMEMBERED_DOMAINS + 10 {
            let fetched_at = later(Timestamp::UNIX_EPOCH, Duration::from_secs(index as u64));
            let kept = KeptPolicy { id: "1".to_owned(), fetched_at, policy: policy.clone() };
            cache.put(&format!("d{index}.example"), Arc::new(kept)).await;
        }
        assert_eq!(cache.0.lock().unwrap().len(), REMEMBERED_DOMAINS);
        assert!(cache.get("d0.example").await.is_none());
        assert!(cache.get(&format!("d{}.example", REMEMBERED_DOMAINS + 9)).await.is_some());
    }
}
