//! A domain's SPF record with everything it includes: who may send, and how near the limits it is.
//!
//! For people who publish a record. It differs from a check in that there is no client: every branch
//! is followed, and what depends on the sender (macros, `exists`, `ptr`) is named instead of followed.

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use waxwing_dns::{LookupError, Resolve};
use waxwing_message::journey::LookupSeen;

use super::check::{DNS_TERMS_MAX, NAMES_MAX, VOID_LOOKUPS_MAX};
use super::macros::{Values, expand_domain};
use super::record::{DomainSpec, Mechanism, Prefixes, Record, Term, is_spf};
use crate::lookup::Recorder;

/// Records that are followed. A check ends after eleven; one that is over the limit is shown further,
/// but not without end.
const RECORDS_MAX: u32 = 60;
/// Includes within includes.
const DEPTH_MAX: usize = 12;

/// A whole tree of records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flattened {
    /// The domain that was asked for.
    pub domain: String,
    /// Its record and, in its terms, the others; `None` when it publishes none.
    pub root: Option<Node>,
    /// Every address range in any of them, in order.
    pub ranges: Vec<Range>,
    /// How many terms of the tree ask the DNS. A check stops with permerror after
    /// [`dns_terms_max`](Flattened::dns_terms_max).
    pub dns_terms: u32,
    /// How many of them find nothing; more than two end a check.
    pub void_lookups: u32,
    /// What is wrong or unwise, in words.
    pub problems: Vec<String>,
    /// The questions to the DNS.
    pub lookups: Vec<LookupSeen>,
}

impl Flattened {
    /// The limit for `dns_terms` (RFC 7208 §4.6.4).
    pub const fn dns_terms_max() -> u32 {
        DNS_TERMS_MAX
    }
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Where it is published.
    pub domain: String,
    /// As published.
    pub text: String,
    /// Its terms, `redirect=` last; empty when it cannot be read.
    pub terms: Vec<NodeTerm>,
}

/// One term of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTerm {
    /// As written.
    pub text: String,
    /// The networks it stands for, such as `192.0.2.0/24`.
    pub networks: Vec<String>,
    /// The record it leads to.
    pub record: Option<Box<Node>>,
}

/// Addresses that a record names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Such as `192.0.2.0/24`; a single address without a length.
    pub network: String,
    /// The term, as written. Its qualifier says what the range means.
    pub term: String,
    /// Where the term stands.
    pub domain: String,
}

/// Follows the record of `domain` and every record that it includes or redirects to.
pub async fn flatten(resolver: &impl Resolve, domain: &str) -> Flattened {
    let recorder = Recorder::new(resolver);
    let mut walk = Walk {
        resolver: &recorder,
        ranges: Vec::new(),
        records: 0,
        dns_terms: 0,
        void_lookups: 0,
        problems: Vec::new(),
    };
    let root = walk.record(domain.to_ascii_lowercase(), Vec::new()).await;
    let Walk { ranges, dns_terms, void_lookups, mut problems, .. } = walk;
    if root.is_none() && problems.is_empty() {
        problems.push(format!("{domain} publishes no SPF record"));
    }
    if dns_terms > DNS_TERMS_MAX {
        problems.push(format!(
            "{dns_terms} terms ask the DNS and {DNS_TERMS_MAX} are allowed (RFC 7208 §4.6.4): receivers \
             may answer permerror"
        ));
    }
    if void_lookups > VOID_LOOKUPS_MAX {
        problems.push(format!(
            "{void_lookups} terms find nothing in the DNS and {VOID_LOOKUPS_MAX} are allowed \
             (RFC 7208 §4.6.4): receivers may answer permerror"
        ));
    }
    Flattened {
        domain: domain.to_owned(),
        root,
        ranges,
        dns_terms,
        void_lookups,
        problems,
        lookups: recorder.take(),
    }
}

struct Walk<'w, R> {
    resolver: &'w R,
    ranges: Vec<Range>,
    records: u32,
    dns_terms: u32,
    void_lookups: u32,
    problems: Vec<String>,
}

impl<'w, R: Resolve> Walk<'w, R> {
    /// One record and what it leads to; `above` are the domains on the way to it. Boxed, since it
    /// calls itself.
    fn record<'b>(
        &'b mut self,
        domain: String,
        mut above: Vec<String>,
    ) -> Pin<Box<dyn Future<Output = Option<Node>> + Send + 'b>>
    where
        'w: 'b,
    {
        Box::pin(async move {
            if above.contains(&domain) {
                self.problems.push(format!("the record of {domain} includes itself"));
                return None;
            }
            if self.records == RECORDS_MAX || above.len() == DEPTH_MAX {
                self.problems.push(format!("the tree is too large: {domain} was not followed"));
                return None;
            }
            self.records += 1;
            let octets = self.fetch(&domain).await?;
            let mut node = Node {
                text: String::from_utf8_lossy(&octets).into_owned(),
                domain: domain.clone(),
                terms: Vec::new(),
            };
            let record = match Record::parse_octets(&octets) {
                Ok(record) => record,
                Err(error) => {
                    self.problems.push(format!("the record of {domain}: {error}"));
                    return Some(node);
                }
            };
            above.push(domain);
            self.remark(&record, &node.domain);
            for term in &record.terms {
                node.terms.push(self.term(term, &node.domain, &above).await);
                // Nothing after `all` is ever looked at (§5.1).
                if term.mechanism == Mechanism::All {
                    return Some(node);
                }
            }
            if let Some(target) = record.redirect {
                self.dns_terms += 1;
                let text = format!("redirect={target}");
                let record = self.follow(&target, &text, &node.domain, &above).await;
                node.terms.push(NodeTerm { text, networks: Vec::new(), record });
            }
            Some(node)
        })
    }

    async fn fetch(&mut self, domain: &str) -> Option<Vec<u8>> {
        let records = match self.resolver.txt(domain).await {
            Ok(answer) => answer.records,
            Err(error) => {
                if !error.is_absent() {
                    self.problems.push(format!("TXT of {domain}: {error}"));
                }
                return None;
            }
        };
        let mut records: Vec<Vec<u8>> = records.into_iter().filter(|r| is_spf(r)).collect();
        if records.len() > 1 {
            self.problems.push(format!(
                "{domain} publishes {} SPF records; with more than one there is none (RFC 7208 §4.5)",
                records.len()
            ));
        }
        match records.is_empty() {
            true => None,
            false => Some(records.swap_remove(0)),
        }
    }

    /// What is allowed and yet unwise.
    fn remark(&mut self, record: &Record<'_>, domain: &str) {
        let all = record.terms.iter().position(|term| term.mechanism == Mechanism::All);
        if let Some(at) = all {
            if record.terms[at].qualifier == super::Qualifier::Pass {
                self.problems
                    .push(format!("{} of {domain} lets everyone send", record.terms[at].text));
            }
            for after in &record.terms[at + 1..] {
                self.problems.push(format!(
                    "{} of {domain} stands after all: it is never reached",
                    after.text
                ));
            }
            if record.redirect.is_some() {
                self.problems
                    .push(format!("redirect= of {domain} stands beside all: it is never reached"));
            }
        }
        if record.terms.iter().any(|term| matches!(term.mechanism, Mechanism::Ptr(_))) {
            self.problems
                .push(format!("{domain} uses ptr, which is not to be published (RFC 7208 §5.5)"));
        }
    }

    async fn term(&mut self, term: &Term<'_>, domain: &str, above: &[String]) -> NodeTerm {
        let mut networks = Vec::new();
        let mut record = None;
        if term.mechanism.asks_dns() {
            self.dns_terms += 1;
        }
        match term.mechanism {
            Mechanism::All | Mechanism::Ptr(_) | Mechanism::Exists(_) => {}
            Mechanism::Ip4(network, prefix) => networks.push(shown(network, prefix, 32)),
            Mechanism::Ip6(network, prefix) => networks.push(shown(network, prefix, 128)),
            Mechanism::Include(target) => {
                record = self.follow(&target, term.text, domain, above).await;
            }
            Mechanism::A(target, prefixes) => {
                if let Some(name) = self.target(target, domain) {
                    networks = self.addresses(&name, prefixes).await;
                    self.count_void(networks.is_empty());
                }
            }
            Mechanism::Mx(target, prefixes) => {
                if let Some(name) = self.target(target, domain) {
                    networks = self.exchangers(&name, prefixes).await;
                }
            }
        }
        self.ranges.extend(networks.iter().map(|network| Range {
            network: network.clone(),
            term: term.text.to_owned(),
            domain: domain.to_owned(),
        }));
        NodeTerm { text: term.text.to_owned(), networks, record }
    }

    async fn follow(
        &mut self,
        target: &DomainSpec<'_>,
        text: &str,
        domain: &str,
        above: &[String],
    ) -> Option<Box<Node>> {
        let name = self.target(Some(*target), domain)?;
        let problems = self.problems.len();
        let node = self.record(name.to_ascii_lowercase(), above.to_vec()).await;
        if node.is_none() && self.problems.len() == problems {
            self.problems.push(format!(
                "{text} of {domain} leads to no SPF record: receivers answer permerror"
            ));
        }
        node.map(Box::new)
    }

    /// The name, when it does not depend on who sends: `%{d}` alone does not.
    fn target(&self, spec: Option<DomainSpec<'_>>, domain: &str) -> Option<String> {
        let Some(spec) = spec else { return Some(domain.to_owned()) };
        let depends = super::macros::tokens(spec.as_str()).any(
            |token| matches!(token, Ok(super::macros::Token::Macro(part)) if part.letter != b'd'),
        );
        if depends {
            return None;
        }
        let values = Values {
            ip: std::net::Ipv4Addr::UNSPECIFIED.into(),
            local_part: "",
            sender_domain: "",
            domain,
            helo: "",
            client_name: "",
            receiver: "",
            now: jiff::Timestamp::UNIX_EPOCH,
        };
        expand_domain(spec.as_str(), &values).map(|name| name.into_owned())
    }

    /// Both families; a void lookup is counted by the caller.
    async fn addresses(&mut self, name: &str, prefixes: Prefixes) -> Vec<String> {
        let mut networks = Vec::new();
        match self.resolver.a(name).await {
            Ok(answer) => {
                networks.extend(answer.records.iter().map(|&ip| shown(ip, prefixes.v4, 32)));
            }
            Err(error) => self.note(name, &error),
        }
        match self.resolver.aaaa(name).await {
            Ok(answer) => {
                networks.extend(answer.records.iter().map(|&ip| shown(ip, prefixes.v6, 128)));
            }
            Err(error) => self.note(name, &error),
        }
        networks
    }

    async fn exchangers(&mut self, name: &str, prefixes: Prefixes) -> Vec<String> {
        let exchangers = match self.resolver.mx(name).await {
            Ok(answer) => answer.records,
            Err(error) => {
                self.note(name, &error);
                self.count_void(error.is_absent());
                return Vec::new();
            }
        };
        if exchangers.len() > NAMES_MAX {
            self.problems.push(format!(
                "{name} has {} mail exchangers; a check ends with permerror at more than {NAMES_MAX}",
                exchangers.len()
            ));
        }
        let mut networks = Vec::new();
        for mx in exchangers.iter().take(NAMES_MAX) {
            if mx.exchange != "." {
                networks.extend(self.addresses(&mx.exchange, prefixes).await);
            }
        }
        networks
    }

    fn note(&mut self, name: &str, error: &LookupError) {
        if !error.is_absent() {
            self.problems.push(format!("{name}: {error}"));
        }
    }

    fn count_void(&mut self, void: bool) {
        self.void_lookups += u32::from(void);
    }
}

/// A network in its usual form: bits after the prefix are zero, and a whole address has no length.
fn shown(address: impl Into<std::net::IpAddr>, prefix: u8, whole: u8) -> String {
    let address = address.into();
    if prefix == whole {
        return address.to_string();
    }
    match address {
        std::net::IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            format!("{}/{prefix}", std::net::Ipv4Addr::from(u32::from(ip) & mask))
        }
        std::net::IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            format!("{}/{prefix}", std::net::Ipv6Addr::from(u128::from(ip) & mask))
        }
    }
}
