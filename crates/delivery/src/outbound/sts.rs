//! MTA-STS policies of other domains (RFC 8461): found, fetched, kept in the store, renewed.
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
//! A kept policy ends `max_age` after it was fetched. It is kept in the store, so that it protects all
//! nodes, and also after a restart when its file cannot be had. A failed fetch is not repeated for
//! five minutes (§3.3), and one node fetches a domain's policy once however many messages wait for it.
//! The record is asked for at every attempt, so that nothing bounces before a new policy was looked
//! for (§5.1).
//!
//! Between attempts [`Sts::keep_fresh`] renews what was used in the last 90 days, each day, so that
//! nobody gains by holding up one fetch (§3.3, §10.2).

mod refresh;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use waxwing_dns::Resolve;
use waxwing_mailauth::policy::mta_sts::{self, Mode, Policy, Record};
use waxwing_store::{Store, StoreError, StoredStsPolicy};

use super::tls_report::TlsResult;
use crate::clock::{later, until};

/// How long a failed fetch is not repeated.
const FAILED_FOR: Duration = Duration::from_secs(5 * 60);
/// After so long a policy in use is fetched again, whatever its id.
const RENEWED_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Domains of which a failure is remembered.
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
    fn ends_at(&self) -> Timestamp {
        later(self.fetched_at, Duration::from_secs(self.policy.max_age_secs.into()))
    }

    /// As the store has it; `None` when it has run out, or is of no use any more.
    fn from_stored(stored: &StoredStsPolicy, now: Timestamp) -> Option<KeptPolicy> {
        let policy = Policy::parse(stored.policy.as_bytes()).ok()?;
        let (id, fetched_at) = (stored.policy_id.clone(), stored.fetched_at);
        Some(KeptPolicy { id, fetched_at, policy }).filter(|kept| now < kept.ends_at())
    }
}

/// What is known of a domain.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The policy in force; never `mode: none`.
    pub policy: Option<KeptPolicy>,
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
    store: Store,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failures: HashMap<String, (Timestamp, Trouble)>,
    fetching: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
}

impl Sts {
    /// With these.
    pub fn new(fetch: Arc<dyn FetchPolicy>, store: Store) -> Sts {
        Sts { fetch, store, state: Mutex::default() }
    }

    /// The policy of a domain (lower case, A-labels). An error means that nobody can say whether one
    /// is kept: nothing may be sent then.
    pub async fn find(
        &self,
        resolver: &impl Resolve,
        domain: &str,
        now: Timestamp,
    ) -> Result<Found, StoreError> {
        let (id, mut trouble) = match record(resolver, domain).await {
            Ok(record) => (record.map(|record| record.id), None),
            Err(trouble) => (None, Some(trouble)),
        };
        let mut kept = self.used(domain, now).await?;
        if let Some(id) = id
            && !kept.as_ref().is_some_and(|kept| is_fresh(kept, &id, now))
        {
            match self.renew(domain, &id, now, now).await? {
                Ok(fetched) => kept = Some(fetched),
                Err(why) => trouble = Some(why),
            }
        }
        Ok(Found { policy: kept.filter(|kept| kept.policy.mode != Mode::None), trouble })
    }

    /// What is kept for a domain; notes, once a day, that it was used.
    async fn used(&self, domain: &str, now: Timestamp) -> Result<Option<KeptPolicy>, StoreError> {
        let Some(stored) = self.store.sts_policy(domain).await? else { return Ok(None) };
        let kept = KeptPolicy::from_stored(&stored, now);
        if kept.is_some() && until(stored.used_at, now) >= RENEWED_AFTER {
            self.store.note_sts_policy_used(domain, now).await?;
        }
        Ok(kept)
    }

    /// Fetches, unless somebody else just did.
    async fn renew(
        &self,
        domain: &str,
        id: &str,
        used_at: Timestamp,
        now: Timestamp,
    ) -> Result<Result<KeptPolicy, Trouble>, StoreError> {
        let turn = self.lock().fetching.entry(domain.to_owned()).or_default().clone();
        let _turn = turn.lock().await;
        let result = self.renew_alone(domain, id, used_at, now).await;
        self.lock().fetching.remove(domain);
        result
    }

    async fn renew_alone(
        &self,
        domain: &str,
        id: &str,
        used_at: Timestamp,
        now: Timestamp,
    ) -> Result<Result<KeptPolicy, Trouble>, StoreError> {
        let stored = self.store.sts_policy(domain).await?;
        let kept = stored.and_then(|stored| KeptPolicy::from_stored(&stored, now));
        if let Some(kept) = kept.filter(|kept| is_fresh(kept, id, now)) {
            return Ok(Ok(kept));
        }
        if let Some((failed_at, trouble)) = self.lock().failures.get(domain)
            && now < later(*failed_at, FAILED_FOR)
        {
            return Ok(Err(trouble.clone()));
        }
        match self.fetched(domain).await {
            Ok(policy) => {
                let kept = KeptPolicy { id: id.to_owned(), fetched_at: now, policy };
                self.lock().failures.remove(domain);
                self.keep(domain, &kept, used_at).await?;
                Ok(Ok(kept))
            }
            Err(trouble) => {
                self.remember(domain, &trouble, now);
                Ok(Err(trouble))
            }
        }
    }

    async fn fetched(&self, domain: &str) -> Result<Policy, Trouble> {
        let file = self.fetch.fetch(domain).await.map_err(|error| Trouble::from(&error))?;
        Policy::parse(&file).map_err(|error| Trouble {
            result: TlsResult::StsPolicyInvalid,
            reason: error.to_string(),
        })
    }

    async fn keep(
        &self,
        domain: &str,
        kept: &KeptPolicy,
        used_at: Timestamp,
    ) -> Result<(), StoreError> {
        let stored = StoredStsPolicy {
            domain: domain.to_owned(),
            policy_id: kept.id.clone(),
            // As we would write it: what else the file holds is of no use.
            policy: kept.policy.to_file(),
            fetched_at: kept.fetched_at,
            expires_at: kept.ends_at(),
            used_at,
        };
        self.store.keep_sts_policy(stored).await
    }

    fn remember(&self, domain: &str, trouble: &Trouble, now: Timestamp) {
        let failures = &mut self.lock().failures;
        if failures.len() >= REMEMBERED_DOMAINS {
            failures.retain(|_, (at, _)| now < later(*at, FAILED_FOR));
        }
        if failures.len() < REMEMBERED_DOMAINS {
            failures.insert(domain.to_owned(), (now, trouble.clone()));
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

    pub(super) struct World {
        _folder: tempfile::TempDir,
        pub(super) sts: Sts,
        web: Arc<Web>,
        pub(super) zone: FakeZone,
        pub(super) now: Timestamp,
    }

    async fn store(folder: &tempfile::TempDir) -> Store {
        let settings = waxwing_store::OpenSettings {
            database_url: format!("sqlite:{}", folder.path().join("wax.db").display()),
            blobs: None,
            spool_folder: folder.path().to_owned(),
            node: "test".to_owned(),
        };
        Store::open(settings).await.unwrap()
    }

    pub(super) fn file(mode: &str) -> Vec<u8> {
        format!("version: STSv1\nmode: {mode}\nmx: mx.wing.example\nmax_age: 604800\n").into_bytes()
    }

    impl World {
        pub(super) async fn new(id: Option<&str>) -> World {
            let web = Arc::new(Web(Mutex::new(Ok(file("enforce"))), AtomicUsize::new(0)));
            let folder = tempfile::tempdir().unwrap();
            let sts = Sts::new(web.clone(), store(&folder).await);
            let (zone, now) = (FakeZone::new(), Timestamp::UNIX_EPOCH);
            let world = World { _folder: folder, sts, web, zone, now };
            world.publish(id);
            world
        }
        pub(super) fn publish(&self, id: Option<&str>) {
            let text =
                id.map_or(String::new(), |id| format!("_mta-sts TXT \"v=STSv1; id={id}\"\n"));
            self.zone.insert(Zone::parse("wing.example", &text).unwrap());
        }
        pub(super) fn answer(&self, answer: Result<Vec<u8>, FetchError>) {
            *self.web.0.lock().unwrap() = answer;
        }
        pub(super) fn later(&mut self, hours: u64) {
            self.now = later(self.now, Duration::from_secs(hours * 3600));
        }
        pub(super) async fn find(&self) -> (Option<Mode>, Option<TlsResult>) {
            let found = self.sts.find(&self.zone, "wing.example", self.now).await.unwrap();
            (found.policy.map(|kept| kept.policy.mode), found.trouble.map(|t| t.result))
        }
        pub(super) fn fetches(&self) -> usize {
            self.web.1.load(Relaxed)
        }
    }

    pub(super) fn away() -> Result<Vec<u8>, FetchError> {
        Err(FetchError::Other("away".to_owned()))
    }

    #[tokio::test]
    async fn a_policy_is_fetched_once_and_kept() {
        let world = World::new(Some("1")).await;
        let many = (0..20).map(|_| world.find());
        for found in futures_util::future::join_all(many).await {
            assert_eq!(found, (Some(Mode::Enforce), None));
        }
        assert_eq!(world.fetches(), 1);
    }

    #[tokio::test]
    async fn no_record_means_no_policy_and_no_fetch() {
        let world = World::new(None).await;
        assert_eq!(world.find().await, (None, None));
        world.zone.time_out("_mta-sts.wing.example");
        assert_eq!(world.find().await, (None, None));
        assert_eq!(world.fetches(), 0);
    }

    #[tokio::test]
    async fn a_new_id_brings_a_new_policy() {
        let world = World::new(Some("1")).await;
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
        let mut world = World::new(Some("1")).await;
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
        let mut world = World::new(Some("1")).await;
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
        let mut world = World::new(Some("1")).await;
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
        let world = World::new(Some("1")).await;
        let trouble = Trouble { result: TlsResult::StsPolicyInvalid, reason: "x".to_owned() };
        for index in 0..REMEMBERED_DOMAINS + 10 {
            world.sts.remember(&format!("d{index}.example"), &trouble, world.now);
        }
        assert_eq!(world.sts.lock().failures.len(), REMEMBERED_DOMAINS);
        // What has passed makes room.
        let after = later(world.now, FAILED_FOR);
        world.sts.remember("another.example", &trouble, after);
        assert_eq!(world.sts.lock().failures.len(), 1);
    }
}
