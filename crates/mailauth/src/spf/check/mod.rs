//! `check_host()` (RFC 7208 §4) and what each mechanism asks (§5).
//!
//! One [`Evaluation`] lives for one check and carries the counts that hold for the whole tree of
//! includes. Each record is fetched, read and walked by [`Evaluation::record_of`], which calls itself
//! for `include` and `redirect`; both count against the limit of ten, which therefore bounds the depth.

use std::borrow::Cow;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use waxwing_dns::{LookupError, RecordType, Resolve};

use super::macros;
use super::record::{DomainSpec, Qualifier, Record, Term, is_spf};
use super::{Identity, Outcome, Request, SpfResult};
use crate::lookup::Recorder;

mod mechanisms;
mod names;
mod verdict;

use names::ClientName;
use verdict::{Found, Match, Stop};

/// Terms that ask the DNS (§4.6.4).
pub(super) const DNS_TERMS_MAX: u32 = 10;
/// MX names, and PTR names, that are looked up for one term (§4.6.4).
pub(super) const NAMES_MAX: usize = 10;
/// Terms whose question finds nothing (§4.6.4).
pub(super) const VOID_LOOKUPS_MAX: u32 = 2;

pub(super) async fn check_host(
    resolver: &impl Resolve,
    request: &Request<'_>,
    identity: Identity,
    local_part: &str,
    domain: &str,
) -> Outcome {
    let recorder = Recorder::new(resolver);
    let local_part = if local_part.is_empty() { "postmaster" } else { local_part };
    let mut outcome = Outcome {
        result: SpfResult::None,
        identity,
        sender: [local_part, "@", domain].concat(),
        domain: domain.to_owned(),
        term: None,
        reason: String::new(),
        explanation: None,
        dns_terms: 0,
        void_lookups: 0,
        lookups: Vec::new(),
    };
    let name = match name_to_ask(domain) {
        Ok(name) => name,
        Err(problem) => {
            outcome.reason = problem;
            return outcome;
        }
    };
    let mut evaluation = Evaluation {
        resolver: &recorder,
        request,
        ip: request.ip.to_canonical(),
        local_part,
        sender_domain: if domain.is_ascii() { domain } else { &name },
        helo: in_a_labels(request.helo),
        dns_terms: 0,
        void_lookups: 0,
        client_names: None,
    };
    let found = evaluation.record_of(&name).await;
    evaluation.settle(found, &name, &mut outcome).await;
    outcome.dns_terms = evaluation.dns_terms;
    outcome.void_lookups = evaluation.void_lookups;
    outcome.domain = name.into_owned();
    outcome.lookups = recorder.take();
    outcome
}

/// The name to ask for, in A-labels, or why there is none (§4.3): an address literal, a single label,
/// a label that is empty or too long.
fn name_to_ask(domain: &str) -> Result<Cow<'_, str>, String> {
    if domain.starts_with('[') {
        return Err(format!("{domain} is an address, which has no SPF record"));
    }
    let bare = domain.strip_suffix('.').unwrap_or(domain);
    let name = if !bare.is_ascii() {
        let ascii = idna::domain_to_ascii(bare);
        Cow::Owned(ascii.map_err(|_| format!("{domain:?} is not a domain name"))?)
    } else if bare.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(bare.to_ascii_lowercase())
    } else {
        Cow::Borrowed(bare)
    };
    if !name.contains('.') {
        return Err(format!("{domain:?} is not a full domain name"));
    }
    if name.len() > 253 || !name.split('.').all(|label| (1..=63).contains(&label.len())) {
        return Err(format!("{domain:?} is not a domain name"));
    }
    Ok(name)
}

/// RFC 8616 §4: macros see A-labels. What is no domain name stays as it came.
fn in_a_labels(helo: &str) -> Cow<'_, str> {
    if helo.is_ascii() {
        return Cow::Borrowed(helo);
    }
    idna::domain_to_ascii(helo).map_or(Cow::Borrowed(helo), Cow::Owned)
}

struct Evaluation<'e, R> {
    resolver: &'e R,
    request: &'e Request<'e>,
    ip: IpAddr,
    local_part: &'e str,
    sender_domain: &'e str,
    helo: Cow<'e, str>,
    dns_terms: u32,
    void_lookups: u32,
    client_names: Option<Vec<ClientName>>,
}

impl<'e, R: Resolve> Evaluation<'e, R> {
    /// Puts what was found into the outcome.
    async fn settle(&mut self, found: Result<Found, Stop>, name: &str, outcome: &mut Outcome) {
        match found {
            Err(stop) => {
                outcome.result =
                    if stop.temporary { SpfResult::TempError } else { SpfResult::PermError };
                outcome.reason = stop.reason;
            }
            Ok(Found::NoRecord) => outcome.reason = format!("{name} publishes no SPF record"),
            // §4.7: neutral when nothing matches.
            Ok(Found::NoMatch) => {
                outcome.result = SpfResult::Neutral;
                outcome.reason = format!("the SPF record of {name} says nothing of {}", self.ip);
            }
            Ok(Found::Match(matched)) => {
                outcome.result = matched.qualifier.result();
                outcome.reason = matched.reason(self.ip, name);
                if let (SpfResult::Fail, Some((spec, domain))) =
                    (outcome.result, &matched.explanation)
                {
                    outcome.explanation = self.explanation(spec, domain).await;
                }
                outcome.term = Some(matched.term);
            }
        }
    }

    /// Walks the record of one domain (§4.6.1). Boxed, since it calls itself.
    fn record_of<'b>(
        &'b mut self,
        domain: &'b str,
    ) -> Pin<Box<dyn Future<Output = Result<Found, Stop>> + Send + 'b>>
    where
        'e: 'b,
    {
        Box::pin(async move {
            let Some(octets) = self.fetch(domain).await? else { return Ok(Found::NoRecord) };
            let record = Record::parse_octets(&octets).map_err(|error| {
                Stop::permanent(format!("the SPF record of {domain} cannot be used: {error}"))
            })?;
            for term in &record.terms {
                let matched = match term.mechanism.asks_dns() {
                    false => self.knows(term),
                    // Apart, so that a record of networks alone needs little room.
                    true => Box::pin(self.asks(term, domain)).await?,
                };
                if let Some(mut matched) = matched {
                    matched.explanation = record
                        .explanation
                        .filter(|_| matched.qualifier == Qualifier::Fail)
                        .map(|spec| (spec.as_str().to_owned(), domain.to_owned()));
                    return Ok(Found::Match(matched));
                }
            }
            match record.redirect {
                Some(target) => Box::pin(self.redirect(&target, domain)).await,
                None => Ok(Found::NoMatch),
            }
        })
    }

    /// The one SPF record among a domain's TXT records (§4.4, §4.5).
    async fn fetch(&self, domain: &str) -> Result<Option<Vec<u8>>, Stop> {
        let answer = match self.resolver.txt(domain).await {
            Ok(answer) => answer,
            Err(error) if error.is_temporary() => {
                return Err(Stop::temporary(domain, RecordType::Txt, &error));
            }
            Err(_) => return Ok(None),
        };
        let mut records = answer.records.into_iter().filter(|octets| is_spf(octets));
        let first = records.next();
        match records.next() {
            None => Ok(first),
            Some(_) => Err(Stop::permanent(format!("{domain} publishes more than one SPF record"))),
        }
    }

    /// §6.1. The other record stands in this one's place, with its own `exp=`.
    async fn redirect(&mut self, target: &DomainSpec<'_>, domain: &str) -> Result<Found, Stop> {
        self.count_dns_term(domain)?;
        let via = format!("redirect={target}");
        let found = match self.expand(target, domain).await {
            Some(name) => self.record_of(&name).await?,
            None => Found::NoRecord,
        };
        match found {
            Found::NoRecord => Err(Stop::permanent(format!(
                "{via} in the SPF record of {domain} leads to no SPF record"
            ))),
            Found::NoMatch => Ok(Found::NoMatch),
            Found::Match(mut matched) => {
                matched.via.insert(0, via);
                Ok(Found::Match(matched))
            }
        }
    }

    /// §5.2: the other record's pass is a match, its other verdicts are none, its lack an error.
    async fn include(
        &mut self,
        term: &Term<'_>,
        target: &DomainSpec<'_>,
        domain: &str,
    ) -> Result<Option<Match>, Stop> {
        let found = match self.expand(target, domain).await {
            Some(name) => self.record_of(&name).await?,
            None => Found::NoRecord,
        };
        match found {
            Found::NoRecord => Err(Stop::permanent(format!(
                "{} in the SPF record of {domain} leads to no SPF record",
                term.text
            ))),
            Found::Match(mut matched) if matched.qualifier == Qualifier::Pass => {
                matched.qualifier = term.qualifier;
                matched.via.insert(0, term.text.to_owned());
                Ok(Some(matched))
            }
            Found::NoMatch | Found::Match(_) => Ok(None),
        }
    }

    /// §6.2: any error is as if there were no explanation. Neither limit counts here.
    async fn explanation(&mut self, spec: &str, domain: &str) -> Option<String> {
        let client_name = self.client_name_for(spec, domain).await;
        let name = macros::expand_domain(spec, &self.values(domain, &client_name))?;
        let answer = self.resolver.txt(&name).await.ok()?;
        let [octets] = answer.records.as_slice() else { return None };
        let text = std::str::from_utf8(octets).ok()?;
        let client_name = self.client_name_for(text, domain).await;
        macros::expand_explanation(text, &self.values(domain, &client_name)).ok()
    }

    fn count_dns_term(&mut self, domain: &str) -> Result<(), Stop> {
        if self.dns_terms == DNS_TERMS_MAX {
            return Err(Stop::permanent(format!(
                "more than {DNS_TERMS_MAX} terms ask the DNS, the next one in the SPF record of {domain}"
            )));
        }
        self.dns_terms += 1;
        Ok(())
    }

    fn count_absent(&mut self, name: &str, error: &LookupError) -> Result<(), Stop> {
        match error.is_absent() {
            true => self.count_void(name),
            false => Ok(()),
        }
    }

    fn count_void(&mut self, name: &str) -> Result<(), Stop> {
        self.void_lookups += 1;
        match self.void_lookups > VOID_LOOKUPS_MAX {
            true => Err(Stop::permanent(format!(
                "more than {VOID_LOOKUPS_MAX} questions to the DNS found nothing, the last one for {name}"
            ))),
            false => Ok(()),
        }
    }
}
