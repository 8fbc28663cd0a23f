//! The [`Resolve`] trait: what may be asked of the DNS and what an answer carries.
//!
//! An answer says more than its records: how long it holds (TTL), whether DNSSEC signed it, and
//! which aliases (CNAME) were followed, since DANE (RFC 7672 §2.2) and a journey's record need all
//! three. The errors separate what is known (the name does not exist; it has no such record) from
//! what is not (nobody answered; the signature is wrong), since mail bounces on the first and waits
//! on the second.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use crate::record::{Mx, RecordData, RecordType, Soa, Srv, Tlsa};

/// What DNSSEC says of an answer (RFC 4035 §4.3). *Bogus* is not here: it is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dnssec {
    /// Nothing is known: DNSSEC was not asked for, or no trust anchor covers the name.
    Indeterminate,
    /// The zone is proven to be unsigned.
    Insecure,
    /// Signed, and the chain of trust holds.
    Secure,
}

impl Dnssec {
    /// The status of what rests on both: the weaker of the two.
    pub fn and(self, other: Dnssec) -> Dnssec {
        self.min(other)
    }

    /// Whether it is [`Dnssec::Secure`].
    pub fn is_secure(self) -> bool {
        self == Dnssec::Secure
    }
}

/// One CNAME that was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The alias.
    pub owner: String,
    /// What it stands for.
    pub target: String,
    /// Whether DNSSEC signed this step.
    pub dnssec: Dnssec,
}

/// A positive answer: at least one record of the type that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// The records; never empty, in the order in which they came.
    pub records: Vec<T>,
    /// The name that owns the records: the one that was asked for, or the end of `aliases`.
    pub name: String,
    /// The CNAMEs that were followed, first to last.
    pub aliases: Vec<Alias>,
    /// How long the answer holds from now: the least TTL of its records and aliases.
    pub ttl: Duration,
    /// The weakest status of its records and aliases.
    pub dnssec: Dnssec,
}

impl<T> Answer<T> {
    /// The same answer with each record turned into something else, or left out.
    pub fn filter_map<U>(self, turn: impl FnMut(T) -> Option<U>) -> Answer<U> {
        Answer {
            records: self.records.into_iter().filter_map(turn).collect(),
            name: self.name,
            aliases: self.aliases,
            ttl: self.ttl,
            dnssec: self.dnssec,
        }
    }
}

/// Why nobody could say. All of it may be different on another try.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Temporary {
    /// No name server answered in time.
    #[error("no name server answered in time")]
    Timeout,
    /// SERVFAIL.
    #[error("the name server failed (SERVFAIL)")]
    ServFail,
    /// REFUSED: the name server does not answer for this name, or not to us.
    #[error("the name server refused to answer (REFUSED)")]
    Refused,
    /// Another response code, by its name.
    #[error("the name server answered {0}")]
    ResponseCode(String),
    /// The name server cannot be reached.
    #[error("the name server cannot be reached: {0}")]
    Network(String),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The name does not exist (RFC 8020: nor anything below it). Permanent.
    #[error("the name does not exist")]
    NxDomain {
        /// Whether its absence was proven.
        dnssec: Dnssec,
        /// How long that holds (RFC 2308 §5).
        ttl: Duration,
    },
    /// The name exists and has no record of this type. Permanent.
    #[error("the name has no such record")]
    NoData {
        /// Whether its absence was proven.
        dnssec: Dnssec,
        /// How long that holds (RFC 2308 §5).
        ttl: Duration,
    },
    /// Nobody could say.
    #[error("{0}")]
    Temporary(#[from] Temporary),
    /// DNSSEC says that the answer is false. Wait, never use it, never take it for absence
    /// (RFC 4035 §5.5, RFC 7672 §2.1.1).
    #[error("the answer's DNSSEC signature is wrong")]
    Bogus,
    /// The answer is not one: a CNAME loop, too many records, data that cannot be read. The zone's
    /// operator must act; it is treated as temporary, since such faults are mended.
    #[error("the answer is malformed: {0}")]
    Malformed(&'static str),
    /// What was asked cannot be a name in the DNS: too long, an empty label, not ASCII. Permanent.
    #[error("not a domain name")]
    BadName,
}

impl LookupError {
    /// Whether to try again later. The others are known facts.
    pub fn is_temporary(&self) -> bool {
        matches!(self, LookupError::Temporary(_) | LookupError::Bogus | LookupError::Malformed(_))
    }

    /// Whether there is certainly no such record: the name does not exist or has none.
    pub fn is_absent(&self) -> bool {
        matches!(self, LookupError::NxDomain { .. } | LookupError::NoData { .. })
    }
}

/// Asks the DNS.
///
/// Implement [`query`](Resolve::query); the rest is given. All futures are `Send`, so that code
/// generic over `&impl Resolve` runs in any task; hold one as `Arc<R>`.
pub trait Resolve: Send + Sync {
    /// The records of one type. CNAMEs are followed (except for CNAME itself).
    fn query(
        &self,
        name: &str,
        record_type: RecordType,
    ) -> impl Future<Output = Result<Answer<RecordData>, LookupError>> + Send;

    /// IPv4 addresses.
    fn a(&self, name: &str) -> impl Future<Output = Result<Answer<Ipv4Addr>, LookupError>> + Send {
        typed(self.query(name, RecordType::A), |data| match data {
            RecordData::A(ip) => Some(ip),
            _ => None,
        })
    }

    /// IPv6 addresses.
    fn aaaa(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Answer<Ipv6Addr>, LookupError>> + Send {
        typed(self.query(name, RecordType::Aaaa), |data| match data {
            RecordData::Aaaa(ip) => Some(ip),
            _ => None,
        })
    }

    /// Mail exchangers, unsorted.
    fn mx(&self, name: &str) -> impl Future<Output = Result<Answer<Mx>, LookupError>> + Send {
        typed(self.query(name, RecordType::Mx), |data| match data {
            RecordData::Mx(mx) => Some(mx),
            _ => None,
        })
    }

    /// Texts: the strings of each record joined without anything between (RFC 7208 §3.3).
    fn txt(&self, name: &str) -> impl Future<Output = Result<Answer<Vec<u8>>, LookupError>> + Send {
        typed(self.query(name, RecordType::Txt), |data| match data {
            // Most have one string.
            RecordData::Txt(mut strings) if strings.len() == 1 => strings.pop(),
            RecordData::Txt(strings) => Some(strings.concat()),
            _ => None,
        })
    }

    /// The names of an address (a query in `in-addr.arpa` or `ip6.arpa`).
    fn ptr(&self, ip: IpAddr) -> impl Future<Output = Result<Answer<String>, LookupError>> + Send {
        async move {
            let name = crate::record::reverse_name(ip);
            typed(self.query(&name, RecordType::Ptr), |data| match data {
                RecordData::Ptr(name) => Some(name),
                _ => None,
            })
            .await
        }
    }

    /// The target of an alias.
    fn cname(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Answer<String>, LookupError>> + Send {
        typed(self.query(name, RecordType::Cname), |data| match data {
            RecordData::Cname(name) => Some(name),
            _ => None,
        })
    }

    /// DANE's associations (RFC 6698); `name` is such as `_25._tcp.mx.example.org`.
    fn tlsa(&self, name: &str) -> impl Future<Output = Result<Answer<Tlsa>, LookupError>> + Send {
        typed(self.query(name, RecordType::Tlsa), |data| match data {
            RecordData::Tlsa(tlsa) => Some(tlsa),
            _ => None,
        })
    }

    /// Services (RFC 2782), unsorted.
    fn srv(&self, name: &str) -> impl Future<Output = Result<Answer<Srv>, LookupError>> + Send {
        typed(self.query(name, RecordType::Srv), |data| match data {
            RecordData::Srv(srv) => Some(srv),
            _ => None,
        })
    }

    /// Name servers.
    fn ns(&self, name: &str) -> impl Future<Output = Result<Answer<String>, LookupError>> + Send {
        typed(self.query(name, RecordType::Ns), |data| match data {
            RecordData::Ns(name) => Some(name),
            _ => None,
        })
    }

    /// The start of authority, when `name` is the top of a zone.
    fn soa(&self, name: &str) -> impl Future<Output = Result<Answer<Soa>, LookupError>> + Send {
        typed(self.query(name, RecordType::Soa), |data| match data {
            RecordData::Soa(soa) => Some(soa),
            _ => None,
        })
    }
}

/// Awaits an untyped answer and takes out the type that was asked for.
async fn typed<T>(
    answer: impl Future<Output = Result<Answer<RecordData>, LookupError>> + Send,
    turn: fn(RecordData) -> Option<T>,
) -> Result<Answer<T>, LookupError> {
    let answer = answer.await?.filter_map(turn);
    // `query` promises records of that type only; a broken implementation must not yield an empty
    // answer, since callers index into it.
    match answer.records.is_empty() {
        true => Err(LookupError::Malformed("records of another type")),
        false => Ok(answer),
    }
}

impl<R: Resolve + ?Sized> Resolve for &R {
    fn query(
        &self,
        name: &str,
        record_type: RecordType,
    ) -> impl Future<Output = Result<Answer<RecordData>, LookupError>> + Send {
        (**self).query(name, record_type)
    }
}

impl<R: Resolve + ?Sized> Resolve for Arc<R> {
    fn query(
        &self,
        name: &str,
        record_type: RecordType,
    ) -> impl Future<Output = Result<Answer<RecordData>, LookupError>> + Send {
        (**self).query(name, record_type)
    }
}
