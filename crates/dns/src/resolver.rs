//! The caching stub resolver: hickory carries the questions and checks signatures; following aliases,
//! the bounds on what is believed, and the cache are here.
//!
//! hickory's own high-level resolver is not used, since it drops what mail needs: the AD bit of a
//! local validating resolver, the status of each alias, and the difference between an alias that
//! leads nowhere and one that failed.
//!
//! # DNSSEC
//!
//! | [`DnssecMode`] | positive answers | absence |
//! |---|---|---|
//! | `Validate` | checked here from the root's keys | proven here (NSEC, NSEC3) |
//! | `TrustAd` | secure where the name servers set AD | indeterminate: hickory hides the bit there |
//! | `Off` | indeterminate | indeterminate |
//!
//! `TrustAd` believes a bit that anyone between here and the name server can set: use it with a
//! validating resolver on this machine only (RFC 7672 §2.1.1).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::{DnsRequestOptions, Query, ResponseCode};
use hickory_proto::rr::{RData, Record};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::Proof;
use tokio::time::Instant;

use crate::record::{RecordData, RecordType, canonical_name, is_at_or_below};
use crate::resolve::{Alias, Answer, Dnssec, LookupError, Resolve, Temporary};
use crate::upstream::{NameServers, Upstream};
use crate::wire;

/// Who checks signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DnssecMode {
    /// We do. Needs name servers that pass signatures on.
    Validate,
    /// A validating resolver on this machine does; its AD bit is believed.
    TrustAd,
    /// Nobody.
    #[default]
    Off,
}

/// Times and bounds.
#[derive(Debug, Clone)]
pub struct ResolverOptions {
    /// Who checks signatures.
    pub dnssec: DnssecMode,
    /// For [`DnssecMode::Validate`]: a file of DNSKEY records, as in zone files, in place of the
    /// root's keys, which are built in.
    pub trust_anchors: Option<PathBuf>,
    /// How long to wait for one round of name servers.
    pub timeout: Duration,
    /// Rounds after the first.
    pub retries: usize,
    /// How long one question may take in all, aliases and signatures included.
    pub deadline: Duration,
    /// Aliases followed at most.
    pub max_aliases: usize,
    /// Records of one answer at most; more make it malformed.
    pub max_records: usize,
    /// Octets of one TXT record at most; longer ones are left out.
    pub max_txt_octets: usize,
    /// Answers kept.
    pub cache_entries: usize,
    /// An answer is kept no longer than this, whatever its TTL.
    pub max_ttl: Duration,
    /// Absence is kept no longer than this (RFC 2308 §5 suggests one to three hours).
    pub max_negative_ttl: Duration,
}

impl Default for ResolverOptions {
    fn default() -> Self {
        ResolverOptions {
            dnssec: DnssecMode::Off,
            trust_anchors: None,
            timeout: Duration::from_secs(5),
            retries: 1,
            deadline: Duration::from_secs(30),
            max_aliases: 8,
            max_records: 200,
            max_txt_octets: 16 * 1024,
            cache_entries: 10_000,
            max_ttl: Duration::from_secs(24 * 3600),
            max_negative_ttl: Duration::from_secs(3 * 3600),
        }
    }
}

/// Why there is no resolver.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// The `resolv.conf` cannot be read or names no server. The operator must act.
    #[error("the system's name servers: {0}")]
    System(String),
    /// No name servers were given.
    #[error("no name servers were given")]
    NoNameServers,
    /// The file of trust anchors cannot be read. The operator must act.
    #[error("the trust anchors in {0}: {1}")]
    TrustAnchors(PathBuf, String),
    /// hickory refused its settings.
    #[error("{0}")]
    Hickory(String),
}

/// The resolver. Cloning is not needed: hold it in an `Arc`.
pub struct Resolver {
    upstream: Upstream,
    options: ResolverOptions,
    cache: Mutex<Cache>,
}

impl Resolver {
    /// A resolver that asks `servers`. Opens no socket before the first question.
    pub fn new(servers: NameServers, options: ResolverOptions) -> Result<Resolver, ResolverError> {
        let upstream = Upstream::new(servers, &options)?;
        Ok(Resolver { upstream, options, cache: Mutex::default() })
    }

    /// Forgets every answer.
    pub fn clear_cache(&self) {
        self.lock().entries.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn cached(&self, name: &str, kind: RecordType) -> Lookup {
        let name = canonical_name(name).ok_or(LookupError::BadName)?;
        if let Some(answer) = special_use(&name, kind) {
            return answer;
        }
        let key = (name, kind);
        if let Some(known) = self.lock().get(&key, Instant::now()) {
            return known;
        }
        let asked = tokio::time::timeout(self.options.deadline, self.ask(&key.0, kind)).await;
        let answer = asked.unwrap_or(Err(Temporary::Timeout.into()));
        tracing::debug!(name = key.0, %kind, ok = answer.is_ok(), "looked up");
        self.lock().put(key, &answer, Instant::now(), &self.options);
        answer
    }

    /// Asks, and asks on where an answer ends in an alias.
    async fn ask(&self, name: &str, kind: RecordType) -> Lookup {
        let mut chain = Chain::new(name);
        loop {
            let asked = chain.name.clone();
            let response = self.exchange(&asked, kind).await?;
            if response.answers.len() > self.options.max_records {
                return Err(LookupError::Malformed("too many records"));
            }
            let followed = chain.follow(&response.answers, kind, &self.options)?;
            let records = chain.records(&response.answers, kind, &self.options)?;
            if !records.is_empty() {
                return Ok(chain.answer(records));
            }
            // RFC 6604 §2: the response code speaks of the last name of the chain.
            let exists = !response.nxdomain;
            if !exists || !followed {
                return Err(chain.absent(exists, response.dnssec, response.negative_ttl));
            }
        }
    }

    /// One question and its answer, absence included.
    async fn exchange(&self, name: &str, kind: RecordType) -> Result<Response, LookupError> {
        let name = wire::wire_name(name).ok_or(LookupError::BadName)?;
        let query = Query::query(name, wire::wire_type(kind));
        let mut options = DnsRequestOptions::default();
        options.use_edns = true;
        options.edns_payload_len = 1232;
        options.recursion_desired = true;
        // RFC 6840 §5.8: AD is set in answers to questions with DO.
        options.edns_set_dnssec_ok = self.options.dnssec != DnssecMode::Off;
        match self.upstream.ask(query, options, &self.options).await {
            Ok(response) => {
                let nxdomain = match response.response_code {
                    ResponseCode::NoError => false,
                    ResponseCode::NXDomain => true,
                    code => return Err(Temporary::ResponseCode(code.to_string()).into()),
                };
                let negative_ttl = response.negative_ttl();
                let ad = response.authentic_data;
                let message = response.into_message();
                let status = |record: &Record| self.status(record, ad);
                let dnssec = match self.options.dnssec {
                    DnssecMode::Validate => absence_status(&message.authorities)?,
                    _ => Dnssec::Indeterminate,
                };
                let answers = message
                    .answers
                    .iter()
                    .filter_map(|record| {
                        let owner = wire::our_name(&record.name)?;
                        let (ttl, data) = (record.ttl, record.data.clone());
                        Some(Received { owner, ttl, data, dnssec: status(record) })
                    })
                    .collect();
                Ok(Response { answers, nxdomain, dnssec, negative_ttl })
            }
            Err(error) => absence_or_failure(error),
        }
    }

    /// `None` is bogus.
    fn status(&self, record: &Record, ad: bool) -> Option<Dnssec> {
        match self.options.dnssec {
            DnssecMode::Off => Some(Dnssec::Indeterminate),
            DnssecMode::TrustAd if ad => Some(Dnssec::Secure),
            DnssecMode::TrustAd => Some(Dnssec::Insecure),
            DnssecMode::Validate => match record.proof {
                Proof::Secure => Some(Dnssec::Secure),
                Proof::Insecure => Some(Dnssec::Insecure),
                Proof::Indeterminate => Some(Dnssec::Indeterminate),
                Proof::Bogus => None,
            },
        }
    }
}

impl Resolve for Resolver {
    async fn query(&self, name: &str, record_type: RecordType) -> Lookup {
        self.cached(name, record_type).await
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("options", &self.options).finish_non_exhaustive()
    }
}

type Lookup = Result<Answer<RecordData>, LookupError>;

/// What came back for one question.
struct Response {
    answers: Vec<Received>,
    nxdomain: bool,
    /// Of the absence, when that is what it says.
    dnssec: Dnssec,
    negative_ttl: Option<u32>,
}

struct Received {
    owner: String,
    ttl: u32,
    data: RData,
    /// `None` is bogus.
    dnssec: Option<Dnssec>,
}

/// What the proofs in the authority section are worth: they count only when all are secure.
fn absence_status(authorities: &[Record]) -> Result<Dnssec, LookupError> {
    if authorities.iter().any(|record| record.proof == Proof::Bogus) {
        return Err(LookupError::Bogus);
    }
    let proven = authorities.iter().any(|r| r.proof == Proof::Secure)
        && authorities.iter().all(|r| r.proof == Proof::Secure || r.record_type().is_rrsig());
    Ok(if proven { Dnssec::Secure } else { Dnssec::Insecure })
}

/// hickory says by an error what the wire says by an answer without records.
fn absence_or_failure(error: NetError) -> Result<Response, LookupError> {
    let absent = |code: ResponseCode, dnssec, negative_ttl| Response {
        answers: Vec::new(),
        nxdomain: code == ResponseCode::NXDomain,
        dnssec,
        negative_ttl,
    };
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            Ok(absent(none.response_code, Dnssec::Indeterminate, none.negative_ttl))
        }
        NetError::Dns(DnsError::Nsec { response, proof, .. }) => {
            let dnssec = match proof {
                Proof::Secure => Dnssec::Secure,
                Proof::Insecure => Dnssec::Insecure,
                Proof::Indeterminate => Dnssec::Indeterminate,
                Proof::Bogus => return Err(LookupError::Bogus),
            };
            let negative_ttl = response.negative_ttl();
            Ok(absent(response.response_code, dnssec, negative_ttl))
        }
        NetError::Dns(DnsError::DnssecBogus) => Err(LookupError::Bogus),
        NetError::Dns(DnsError::ResponseCode(code)) => Err(match code {
            ResponseCode::ServFail => Temporary::ServFail,
            ResponseCode::Refused => Temporary::Refused,
            code => Temporary::ResponseCode(code.to_string()),
        }
        .into()),
        NetError::Timeout => Err(Temporary::Timeout.into()),
        NetError::Proto(_) | NetError::ForeignClassRecord { .. } => {
            Err(LookupError::Malformed("it cannot be read"))
        }
        other => Err(Temporary::Network(other.to_string()).into()),
    }
}

/// The way from the name that was asked for to the one that owns the records.
struct Chain {
    name: String,
    aliases: Vec<Alias>,
    ttl_secs: u32,
    dnssec: Dnssec,
}

impl Chain {
    fn new(name: &str) -> Chain {
        let aliases = Vec::new();
        Chain { name: name.to_owned(), aliases, ttl_secs: u32::MAX, dnssec: Dnssec::Secure }
    }

    /// Follows the aliases in an answer, in whatever order they stand. Says whether there were any.
    fn follow(
        &mut self,
        answers: &[Received],
        kind: RecordType,
        options: &ResolverOptions,
    ) -> Result<bool, LookupError> {
        if kind == RecordType::Cname {
            return Ok(false);
        }
        let before = self.aliases.len();
        loop {
            let here = |received: &&Received| received.owner == self.name;
            let alias = answers.iter().filter(here).find_map(|received| match &received.data {
                RData::CNAME(target) => Some((received, target)),
                _ => None,
            });
            let Some((received, target)) = alias else {
                return Ok(self.aliases.len() > before);
            };
            let dnssec = received.dnssec.ok_or(LookupError::Bogus)?;
            let target =
                wire::our_name(&target.0).ok_or(LookupError::Malformed("an alias to no name"))?;
            self.aliases.push(Alias { owner: self.name.clone(), target: target.clone(), dnssec });
            self.ttl_secs = self.ttl_secs.min(received.ttl);
            self.dnssec = self.dnssec.and(dnssec);
            self.name = target;
            let again = self.aliases.iter().any(|alias| alias.owner == self.name);
            if again || self.aliases.len() > options.max_aliases {
                return Err(LookupError::Malformed("aliases without end"));
            }
        }
    }

    /// The records of the name where the aliases ended.
    fn records(
        &mut self,
        answers: &[Received],
        kind: RecordType,
        options: &ResolverOptions,
    ) -> Result<Vec<RecordData>, LookupError> {
        let mut records = Vec::new();
        for received in answers.iter().filter(|received| received.owner == self.name) {
            if received.data.record_type() != wire::wire_type(kind) {
                continue;
            }
            let dnssec = received.dnssec.ok_or(LookupError::Bogus)?;
            // Names that our form cannot carry, and texts beyond bounds, are no use to mail.
            let Some(data) = wire::our_data(&received.data) else { continue };
            if let RecordData::Txt(strings) = &data
                && strings.iter().map(Vec::len).sum::<usize>() > options.max_txt_octets
            {
                continue;
            }
            self.ttl_secs = self.ttl_secs.min(received.ttl);
            self.dnssec = self.dnssec.and(dnssec);
            records.push(data);
        }
        Ok(records)
    }

    fn answer(self, records: Vec<RecordData>) -> Answer<RecordData> {
        let ttl = Duration::from_secs(self.ttl_secs.into());
        Answer { records, name: self.name, aliases: self.aliases, ttl, dnssec: self.dnssec }
    }

    /// Without an SOA there is no TTL, and the absence is not to be kept (RFC 2308 §5).
    fn absent(&self, exists: bool, dnssec: Dnssec, negative_ttl: Option<u32>) -> LookupError {
        let dnssec = self.dnssec.and(dnssec);
        let ttl = Duration::from_secs(self.ttl_secs.min(negative_ttl.unwrap_or(0)).into());
        match exists {
            true => LookupError::NoData { dnssec, ttl },
            false => LookupError::NxDomain { dnssec, ttl },
        }
    }
}

/// Names that never reach a name server: RFC 6761 §6.3 (`localhost`), §6.4 (`invalid`), RFC 7686
/// (`onion`).
fn special_use(name: &str, kind: RecordType) -> Option<Lookup> {
    let ttl = Duration::from_secs(3600);
    let dnssec = Dnssec::Indeterminate;
    if is_at_or_below(name, "invalid") || is_at_or_below(name, "onion") {
        return Some(Err(LookupError::NxDomain { dnssec, ttl }));
    }
    if !is_at_or_below(name, "localhost") {
        return None;
    }
    let record = match kind {
        RecordType::A => RecordData::A(std::net::Ipv4Addr::LOCALHOST),
        RecordType::Aaaa => RecordData::Aaaa(std::net::Ipv6Addr::LOCALHOST),
        _ => return Some(Err(LookupError::NoData { dnssec, ttl })),
    };
    let (name, records) = (name.to_owned(), vec![record]);
    Some(Ok(Answer { records, name, aliases: Vec::new(), ttl, dnssec }))
}

/// What is known, until when. Bounded: when it is full, what has expired goes first, then anything.
#[derive(Default)]
struct Cache {
    entries: HashMap<(String, RecordType), (Instant, Lookup)>,
}

impl Cache {
    /// With the TTL that is left.
    fn get(&self, key: &(String, RecordType), now: Instant) -> Option<Lookup> {
        let (until, known) = self.entries.get(key)?;
        let left = until.checked_duration_since(now).filter(|left| !left.is_zero())?;
        let mut known = known.clone();
        match &mut known {
            Ok(answer) => answer.ttl = answer.ttl.min(left),
            Err(LookupError::NxDomain { ttl, .. } | LookupError::NoData { ttl, .. }) => {
                *ttl = (*ttl).min(left);
            }
            Err(_) => {}
        }
        Some(known)
    }

    /// Keeps what is known; failures are never kept.
    fn put(
        &mut self,
        key: (String, RecordType),
        answer: &Lookup,
        now: Instant,
        options: &ResolverOptions,
    ) {
        let ttl = match answer {
            Ok(answer) => answer.ttl.min(options.max_ttl),
            Err(LookupError::NxDomain { ttl, .. } | LookupError::NoData { ttl, .. }) => {
                (*ttl).min(options.max_negative_ttl)
            }
            Err(_) => return,
        };
        if ttl.is_zero() || options.cache_entries == 0 {
            return;
        }
        if self.entries.len() >= options.cache_entries && !self.entries.contains_key(&key) {
            self.entries.retain(|_, (until, _)| *until > now);
            let surplus = (self.entries.len() + 1).saturating_sub(options.cache_entries);
            if surplus > 0 {
                // A quarter at once, so that a full cache is not swept for every answer.
                let drop = surplus.max(options.cache_entries / 4);
                let keys: Vec<_> = self.entries.keys().take(drop).cloned().collect();
                keys.iter().for_each(|key| {
                    self.entries.remove(key);
                });
            }
        }
        self.entries.insert(key, (now + ttl, answer.clone()));
    }
}
