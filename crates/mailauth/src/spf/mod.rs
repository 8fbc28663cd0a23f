//! SPF: may this client send mail for that domain? (RFC 7208)
//!
//! ```text
//! check_mail_from ─┐                      ┌─ record: the text into terms
//!                  ├─▶ check (check_host) ┼─ macros: %{i} and its like
//! check_helo ──────┘                      └─ Resolve: a, mx, ptr, exists, include, redirect
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`record`] | [`Record`] and [`Term`]: the grammar of RFC 7208 §12 |
//! | [`macros`] | the macro language of §7 |
//! | `check` | the function `check_host()` of §4 and the mechanisms of §5 |
//! | [`flatten`] | a domain's whole tree of includes, for those who publish one |
//!
//! What a domain publishes is hostile until shown otherwise. Everything is bounded: ten terms that
//! ask the DNS, ten MX and ten PTR names each, two lookups that find nothing (§4.6.4), and the length
//! of what macros make. The bound on the whole time is the caller's.
//!
//! Deviates: §4.6.4's void lookups are counted once a term, by the term's own question. The address
//! lookups of MX and PTR names are not counted, since a client that comes by IPv6 would else get a
//! permerror from every domain whose mail exchangers have IPv4 alone.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use waxwing_dns::Resolve;
use waxwing_message::ReversePath;
use waxwing_message::journey::{Check, Finding, LookupSeen};

mod check;
pub mod flatten;
pub mod macros;
pub mod record;

pub use flatten::{Flattened, flatten};
pub use record::{Mechanism, Qualifier, Record, RecordError, Term};

/// What SPF says (RFC 7208 §2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpfResult {
    /// There is no record, or no domain to ask for.
    None,
    /// The domain says that it says nothing.
    Neutral,
    /// The client may send for the domain.
    Pass,
    /// The client may not.
    Fail,
    /// The client probably may not.
    SoftFail,
    /// The DNS did not answer: to be tried again.
    TempError,
    /// The record cannot be read or goes beyond the limits.
    PermError,
}

impl SpfResult {
    /// The word of RFC 8601 §2.7.2.
    pub fn as_str(self) -> &'static str {
        match self {
            SpfResult::None => "none",
            SpfResult::Neutral => "neutral",
            SpfResult::Pass => "pass",
            SpfResult::Fail => "fail",
            SpfResult::SoftFail => "softfail",
            SpfResult::TempError => "temperror",
            SpfResult::PermError => "permerror",
        }
    }
}

impl std::fmt::Display for SpfResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which of the client's claims was examined (RFC 7208 §2.3, §2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Identity {
    /// The reverse-path, or postmaster at the HELO name when that is null.
    MailFrom,
    /// What the client called itself.
    Helo,
}

/// What is known when a client has said MAIL FROM.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The client's address. An IPv4 address mapped into IPv6 is taken as IPv4 (§5).
    pub ip: IpAddr,
    /// What it called itself in HELO or EHLO.
    pub helo: &'a str,
    /// MAIL FROM.
    pub sender: &'a ReversePath,
    /// Our own host name: `%{r}`.
    pub receiver: &'a str,
    /// `%{t}`.
    pub now: Timestamp,
}

/// The result of one check, with its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What SPF says.
    pub result: SpfResult,
    /// Which claim was examined.
    pub identity: Identity,
    /// `local@domain` as it was examined.
    pub sender: String,
    /// The domain whose record was asked for.
    pub domain: String,
    /// The term that matched, as written; the includes that led to it stand in `reason`.
    pub term: Option<String>,
    /// Why, in words for people.
    pub reason: String,
    /// What the domain wants to be said to the client (`exp=`, §6.2): printable ASCII, at most
    /// [`EXPLANATION_OCTETS_MAX`](macros::EXPLANATION_OCTETS_MAX). Only on fail. These are a
    /// stranger's words.
    pub explanation: Option<String>,
    /// How many terms asked the DNS; ten are allowed (§4.6.4).
    pub dns_terms: u32,
    /// How many of them found nothing; two are allowed.
    pub void_lookups: u32,
    /// The questions to the DNS.
    pub lookups: Vec<LookupSeen>,
}

impl Outcome {
    /// As a message's journey keeps it.
    pub fn finding(&self) -> Finding {
        Finding {
            check: Check::Spf,
            result: self.result.as_str().to_owned(),
            about: match self.identity {
                Identity::MailFrom => self.sender.clone(),
                Identity::Helo => format!("HELO {}", self.domain),
            },
            reason: self.reason.clone(),
            lookups: self.lookups.clone(),
        }
    }
}

/// Checks the MAIL FROM identity. For the null reverse-path that is postmaster at the HELO name
/// (§2.4).
pub async fn check_mail_from(resolver: &impl Resolve, request: &Request<'_>) -> Outcome {
    match request.sender {
        ReversePath::Address(address) => {
            let (local_part, domain) = (address.local_part(), address.domain());
            check_host(resolver, request, Identity::MailFrom, local_part, domain).await
        }
        ReversePath::Null => {
            check_host(resolver, request, Identity::MailFrom, "postmaster", request.helo).await
        }
    }
}

/// Checks the HELO identity (§2.3). An address literal or a name with a single label gives
/// [`SpfResult::None`].
pub async fn check_helo(resolver: &impl Resolve, request: &Request<'_>) -> Outcome {
    check_host(resolver, request, Identity::Helo, "postmaster", request.helo).await
}

/// `check_host()` itself (§4.1) for any claim; an empty local part is taken as postmaster (§4.3), and
/// `request.sender` is not looked at.
pub async fn check_host(
    resolver: &impl Resolve,
    request: &Request<'_>,
    identity: Identity,
    local_part: &str,
    domain: &str,
) -> Outcome {
    check::check_host(resolver, request, identity, local_part, domain).await
}
