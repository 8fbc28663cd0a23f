//! What is observed of a message that another server brings: the evidence, before any verdict.
//!
//! ```text
//! client's address, HELO ─┬─ SPF ───────────┐
//!                         ├─ reverse DNS     │
//!                         ├─ blocklists      ├─ DMARC ── evidence, findings, header fields
//! octets (streamed) ──────┴─ DKIM, ARC ──────┘                 │
//!                                       known senders, words ──┴── one verdict per reader
//! ```
//!
//! | module | its job |
//! |---|---|
//! | `connection` | questions about the client: HELO, reverse DNS, blocklists |
//! | `facts` | from the outcomes of mailauth to the filter's evidence |
//! | `header` | Authentication-Results and Received-SPF; forged ones of ours |
//! | `observed` | what the author's domain is told of it |
//! | `personal` | what the reader's account knows: senders, words |
//! | `saved` | the same for a message from a file, without a store |
//!
//! All questions to the DNS are asked at once and within a limit; what did not answer in time is a
//! temporary error of that check, never of the message. The verdict is the filter's
//! ([`waxwing_filter::spam::judge`]).

mod connection;
mod facts;
mod failed;
mod header;
mod observed;
mod personal;
pub(crate) mod saved;

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join4;
use jiff::Timestamp;
use waxwing_dns::Resolve;
use waxwing_filter::spam::absurd::{FromFacts, examine_from, only_author};
use waxwing_filter::spam::connection::networks;
use waxwing_filter::spam::evidence::traces_of_forwarding;
use waxwing_filter::spam::{Authenticity, Evidence, Judgement, judge};
use waxwing_mailauth::arc::{self, ChainStatus};
use waxwing_mailauth::dkim::{KeyCache, Verification, Verified, Verifier};
use waxwing_mailauth::results::AuthenticationResults;
use waxwing_mailauth::spf::record::network_holds;
use waxwing_mailauth::{dmarc, spf};
use waxwing_message::journey::{Event, Finding, Step};
use waxwing_message::{Address, Message, ReversePath};
use waxwing_store::{Observation, ReportKind, SenderIdentity, Store, StoreError};

use crate::clock::Clock;
use crate::policy::Policy;

pub(crate) use facts::identity_of;
pub(crate) use failed::{Failing, KeptFailure};
pub(crate) use header::forged_results;
pub(crate) use personal::{Content, word_key};

/// How long what is known of our own domains and people is believed.
const OWN_NAMES_FOR: Duration = Duration::from_secs(60);
/// People of this system whose names are compared with authors'.
const COLLEAGUES_MAX: usize = 1_000;
/// Octets of a message that the checks of its content look at.
pub(crate) const CONTENT_OCTETS: usize = 1024 * 1024;

/// The server that brings a message, and what it said before the message.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// Its address.
    pub ip: IpAddr,
    /// What it called itself in HELO or EHLO.
    pub helo: &'a str,
    /// MAIL FROM.
    pub reverse_path: &'a ReversePath,
}

/// A message as another server brought it.
pub(crate) struct Visit<'a> {
    /// `None` when nobody knows how a message from a file came: what rests on it is left out.
    pub client: Option<Client<'a>>,
    pub raw: &'a [u8],
    /// Fed with all of it.
    pub verifier: Verifier,
}

/// Everything that was observed, and what goes into the header.
pub(crate) struct Examination {
    pub evidence: Evidence,
    pub findings: Vec<Finding>,
    pub identities: Vec<SenderIdentity>,
    /// The one author, folded.
    pub author: Option<String>,
    pub results: AuthenticationResults,
    pub received_spf: Vec<u8>,
    pub arc: arc::Validation,
    pub dmarc: Option<dmarc::Outcome>,
    spf: Option<spf::Outcome>,
    dkim: Vec<Verification>,
    took: Duration,
}

/// Examines messages.
pub(crate) struct Examiner<R> {
    resolver: R,
    /// Keys of other domains, read once for each text of a record.
    keys: KeyCache,
    own: Mutex<Option<(Instant, Own)>>,
}

/// Our own names, which nobody else may use.
#[derive(Clone, Default)]
struct Own {
    domains: std::sync::Arc<[String]>,
    people: std::sync::Arc<[(String, String)]>,
}

impl<R: Resolve> Examiner<R> {
    pub fn new(resolver: R) -> Examiner<R> {
        Examiner { resolver, keys: KeyCache::new(), own: Mutex::new(None) }
    }

    /// Asks everything that can be asked about a message.
    pub async fn examine<C: Clock>(
        &self,
        clock: &C,
        store: &Store,
        policy: &Policy,
        visit: Visit<'_>,
    ) -> Result<Examination, StoreError> {
        let own = self.own_names(clock, store).await?;
        Ok(observe(&self.resolver, &self.keys, clock, policy, &own, visit).await)
    }

    /// Our domains and people, as they were at most a minute ago.
    async fn own_names<C: Clock>(&self, clock: &C, store: &Store) -> Result<Own, StoreError> {
        let now = clock.instant();
        if let Some((at, own)) = &*self.own.lock().unwrap_or_else(PoisonError::into_inner)
            && now.saturating_duration_since(*at) < OWN_NAMES_FOR
        {
            return Ok(own.clone());
        }
        let domains = store.domains().await?.into_iter().map(|domain| domain.name);
        let accounts = store.accounts(None).await?.into_iter().take(COLLEAGUES_MAX);
        let people = accounts
            .filter(|account| !account.display_name.is_empty())
            .map(|account| (account.display_name, account.address.to_string()));
        let own = Own { domains: domains.collect(), people: people.collect() };
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, own.clone()));
        Ok(own)
    }
}

/// Asks everything that can be asked about a message, but for what the store knows.
async fn observe<R: Resolve, C: Clock>(
    resolver: &R,
    keys: &KeyCache,
    clock: &C,
    policy: &Policy,
    own: &Own,
    visit: Visit<'_>,
) -> Examination {
    let started = clock.instant();
    let now = clock.now();
    let Visit { client, raw, verifier } = visit;
    let content = &raw[..raw.len().min(CONTENT_OCTETS)];
    let message = Message::parse(content);
    let author = only_author(&message);
    let ip = client.map(|client| client.ip);
    let asking = connection::Asking { resolver, clock, limit: policy.judging.patience };
    let (spf, verified, seen, listed) = join4(
        asking.spf(policy, client, now),
        asking.or_else(verifier.finish_with(resolver, keys, now), facts::verified_without_answer),
        asking.client(policy, &own.domains, client),
        asking.blocklists(policy, ip, author.as_deref()),
    )
    .await;
    let Verified { dkim, arc } = verified;
    let dmarc = asking.dmarc(author.as_deref(), spf.as_ref(), &dkim).await;
    let reverse_path = client.and_then(|client| client.reverse_path.address());
    let mut evidence = Evidence {
        ip,
        reverse_path: reverse_path.map(ToString::to_string),
        from_address: author.clone(),
        spf: spf.as_ref().map(facts::of_spf),
        dkim: dkim.iter().map(facts::of_dkim).collect(),
        dkim_checked: true,
        dmarc: dmarc.as_ref().map(facts::of_dmarc),
        arc: Some(facts::of_arc(&arc, &policy.judging.spam.trusted_sealers)),
        helo: seen.helo.clone(),
        rdns: seen.reverse.clone(),
        blocklists: listed.found.clone(),
        forwarded: traces_of_forwarding(&message),
        ..Evidence::default()
    };
    let authenticated = Authenticity::from(&evidence).from;
    evidence.from = examine_from(
        &message,
        &FromFacts {
            own_domains: &own.domains,
            local_names: &own.people,
            contacts: &[],
            authenticated,
        },
    );
    let mut findings: Vec<Finding> = spf.iter().map(spf::Outcome::finding).collect();
    findings.extend(dkim.iter().map(Verification::finding));
    findings.extend(dmarc.as_ref().map(dmarc::Outcome::finding));
    findings.extend((arc.status != ChainStatus::None).then(|| arc.finding()));
    findings.extend(seen.helo.into_iter().chain(seen.reverse));
    findings.extend(listed.findings);
    findings.extend(evidence.from.iter().cloned());
    let results = header::results(&policy.host_name, spf.as_ref(), &dkim, dmarc.as_ref(), &arc);
    let received_spf = match (&client, &spf) {
        (Some(client), Some(spf)) => header::received_spf(&policy.host_name, client, spf),
        _ => Vec::new(),
    };
    let identities = facts::identities(author.as_deref(), authenticated, dmarc.as_ref(), &evidence);
    let took = clock.instant().saturating_duration_since(started);
    Examination {
        evidence,
        findings,
        identities,
        author,
        results,
        received_spf,
        arc,
        dmarc,
        spf,
        dkim,
        took,
    }
}

impl Examination {
    /// The network of the client, as reputation knows it.
    pub fn network(&self) -> String {
        self.evidence.ip.map(|ip| networks(ip)[1].clone()).unwrap_or_default()
    }

    /// The verdict that holds for every reader: nothing that an account knows is asked.
    pub fn judged(&self, policy: &Policy) -> Judgement {
        judge(&self.evidence, &policy.judging.spam)
    }

    /// For the journey.
    pub fn step(&self) -> Step {
        Step::Examined {
            findings: self.findings.clone(),
            identities: self.identities.iter().map(facts::shown).collect(),
            took_millis: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// What the author's domain wants to be told (RFC 9990); `None` when it wants nothing.
    pub fn to_report(
        &self,
        envelope: &ReversePath,
        recipient: Option<&Address>,
        judgement: &Judgement,
        now: Timestamp,
    ) -> Option<Observation> {
        let dmarc = self.dmarc.as_ref()?;
        let record = dmarc.record.as_ref().filter(|record| !record.rua.is_empty())?;
        let policy_domain = dmarc.policy_domain.as_ref()?;
        let envelope = (envelope, recipient);
        let verdict = &judgement.verdict;
        let what = observed::observation(self, dmarc, record, policy_domain, envelope, verdict)?;
        Some(Observation {
            kind: ReportKind::Dmarc,
            domain: policy_domain.clone(),
            at: now,
            what: serde_json::to_string(&what).ok()?,
        })
    }
}

/// A judgement as the journey keeps it.
pub(crate) fn judged_event(
    judgement: &Judgement,
    recipient: Option<Address>,
    at: Timestamp,
) -> Event {
    let step = Step::Judged {
        recipient,
        verdict: judgement.verdict.clone(),
        weight: judgement.weight,
        reasons: judgement.reasons.clone(),
        overridden: judgement.overridden.clone(),
    };
    Event { at, step }
}

/// Whether mail from this address is not examined: it comes through servers of our own.
pub(crate) fn is_trusted(policy: &Policy, ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    policy.judging.trusted.iter().any(|(network, prefix)| network_holds(*network, *prefix, ip))
}
