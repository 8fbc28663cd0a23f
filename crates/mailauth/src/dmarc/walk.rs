//! The DNS tree walk (RFC 9989 §4.10): from a domain up to the top, at most eight questions.
//!
//! ```text
//! a.b.c.d.e.f.g.h.i.j.mail.example.com ─▶ _dmarc. of itself, then of its last seven labels, six, … one
//! ```
//!
//! It stops at a record that says `psd=y` or `psd=n`. Which record then is the policy, and which
//! domain the organizational one, is read off what was found:
//!
//! | found, from the longest name to the shortest | the organizational domain |
//! |---|---|
//! | `psd=n` | that domain |
//! | `psd=y`, not where the walk began | one label below it |
//! | neither | the shortest with a record |
//! | nothing | where the walk began |
//!
//! A [`Walker`] remembers each name, so that walks for the author and for authenticated domains
//! below the same organization ask each question once.

use waxwing_dns::{RecordType, Resolve};

use super::TemporaryFailure;
use super::record::{Psd, Record, is_dmarc};

/// Labels that are left after the first question.
const LABELS_MAX: usize = 7;

/// A domain in A-labels, lower case and without a final dot.
pub(super) fn canonical(domain: &str) -> Option<String> {
    match domain.is_ascii() {
        true => waxwing_dns::record::canonical_name(domain),
        false => {
            let ascii = idna::domain_to_ascii(domain).ok()?;
            waxwing_dns::record::canonical_name(&ascii)
        }
    }
}

/// Asks for `_dmarc` records, each once.
pub(super) struct Walker<'w, R> {
    resolver: &'w R,
    seen: Vec<Seen>,
}

struct Seen {
    domain: String,
    record: Option<Record>,
    /// More than one record: all are discarded.
    ambiguous: bool,
}

/// What a walk found.
pub(super) struct Walk {
    start: String,
    /// Positions in what the walker has seen: the places with a record, the longest name first.
    found: Vec<Place>,
    /// Where it ended without an answer.
    pub failed: Option<TemporaryFailure>,
}

#[derive(Clone, Copy)]
struct Place {
    at: usize,
    psd: Psd,
    is_start: bool,
    /// Octets of the place's name, which is the end of the start's.
    octets: usize,
}

impl<'w, R: Resolve> Walker<'w, R> {
    pub(super) fn new(resolver: &'w R) -> Walker<'w, R> {
        Walker { resolver, seen: Vec::new() }
    }

    pub(super) fn record(&self, at: usize) -> Option<&Record> {
        self.seen.get(at)?.record.as_ref()
    }

    /// The record at a place, when no more is asked.
    pub(super) fn into_record(mut self, at: usize) -> Option<Record> {
        self.seen.get_mut(at)?.record.take()
    }

    pub(super) fn domain(&self, at: usize) -> &str {
        self.seen.get(at).map_or("", |seen| &seen.domain)
    }

    /// Domains with several records.
    pub(super) fn ambiguous(&self) -> impl Iterator<Item = &str> {
        self.seen.iter().filter(|seen| seen.ambiguous).map(|seen| seen.domain.as_str())
    }

    /// Walks up from a domain in canonical form.
    pub(super) async fn walk(&mut self, start: &str) -> Walk {
        let mut walk = Walk { start: start.to_owned(), found: Vec::new(), failed: None };
        let mut target = Some(start);
        while let Some(domain) = target {
            let at = match self.ask(domain).await {
                Ok(at) => at,
                Err(failure) => {
                    walk.failed = Some(failure);
                    break;
                }
            };
            if let Some(record) = &self.seen[at].record {
                let is_start = domain.len() == start.len();
                walk.found.push(Place { at, psd: record.psd, is_start, octets: domain.len() });
                if record.psd != Psd::Unsaid {
                    break;
                }
            }
            target = next_target(domain);
        }
        walk
    }

    /// The position of a domain among those seen.
    async fn ask(&mut self, domain: &str) -> Result<usize, TemporaryFailure> {
        if let Some(at) = self.seen.iter().position(|seen| seen.domain == domain) {
            return Ok(at);
        }
        let name = ["_dmarc.", domain].concat();
        let texts = match self.resolver.query(&name, RecordType::Txt).await {
            Ok(answer) => answer.records,
            Err(error) if error.is_temporary() => return Err(TemporaryFailure { name, error }),
            Err(_) => Vec::new(),
        };
        let mut records = texts.iter().filter_map(|data| match data {
            waxwing_dns::RecordData::Txt(strings) => match strings.as_slice() {
                [one] => Some(std::borrow::Cow::Borrowed(one.as_slice())),
                several => Some(std::borrow::Cow::Owned(several.concat())),
            },
            _ => None,
        });
        let mut records = records.by_ref().filter(|octets| is_dmarc(octets));
        let first = records.next();
        let ambiguous = records.next().is_some();
        let record = first.filter(|_| !ambiguous).and_then(|text| Record::parse_octets(&text).ok());
        self.seen.push(Seen { domain: domain.to_owned(), record, ambiguous });
        Ok(self.seen.len() - 1)
    }
}

/// The name to ask for after this one (§4.10 steps 3, 4 and 7).
fn next_target(domain: &str) -> Option<&str> {
    let labels = domain.bytes().filter(|b| *b == b'.').count() + 1;
    // Eight labels or more leave seven; fewer lose one.
    let drop = if labels > LABELS_MAX { labels - LABELS_MAX } else { 1 };
    let mut rest = domain;
    for _ in 0..drop {
        rest = rest.split_once('.')?.1;
    }
    Some(rest)
}

impl Walk {
    /// Where the record is that covers mail of the domain (§4.10.1): its own, its organizational
    /// domain's, its public suffix's.
    pub(super) fn policy_at(&self) -> Option<usize> {
        let own = self.found.first().filter(|place| place.is_start);
        let place = own.or_else(|| self.organization()).or_else(|| self.suffix())?;
        Some(place.at)
    }

    /// Whether the record at the walk's start is there.
    pub(super) fn has_own(&self) -> bool {
        self.found.first().is_some_and(|place| place.is_start)
    }

    /// Whether even the first question failed.
    pub(super) fn failed_at_once(&self) -> bool {
        self.failed.is_some() && self.found.is_empty()
    }

    /// §4.10.2.
    pub(super) fn organizational_domain<'s, R: Resolve>(
        &'s self,
        walker: &'s Walker<'_, R>,
    ) -> &'s str {
        if let Some(suffix) = self.suffix() {
            return one_label_below(&self.start, suffix.octets);
        }
        self.organization().map_or(&self.start, |place| walker.domain(place.at))
    }

    /// The `psd=y` record above the start, which can only be the last one found.
    fn suffix(&self) -> Option<&Place> {
        self.found.last().filter(|place| place.psd == Psd::Yes && !place.is_start)
    }

    /// The record at the organizational domain.
    fn organization(&self) -> Option<&Place> {
        match self.suffix() {
            Some(suffix) => {
                let below = one_label_below(&self.start, suffix.octets).len();
                self.found.iter().find(|place| place.octets == below)
            }
            None => self.found.last(),
        }
    }
}

/// The end of `domain` that has one label more than its last `octets` octets.
fn one_label_below(domain: &str, octets: usize) -> &str {
    let above = domain.len().saturating_sub(octets + 1);
    match domain[..above].rfind('.') {
        Some(dot) => &domain[dot + 1..],
        None => domain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(start: &str) -> Vec<&str> {
        std::iter::successors(Some(start), |domain| next_target(domain)).collect()
    }

    /// The example of §4.10.
    #[test]
    fn long_names_take_eight_questions() {
        assert_eq!(
            targets("a.b.c.d.e.f.g.h.i.j.mail.example.com"),
            [
                "a.b.c.d.e.f.g.h.i.j.mail.example.com",
                "g.h.i.j.mail.example.com",
                "h.i.j.mail.example.com",
                "i.j.mail.example.com",
                "j.mail.example.com",
                "mail.example.com",
                "example.com",
                "com",
            ]
        );
    }

    /// The example of §5.1.8, and the numbers around eight.
    #[test]
    fn names_around_the_limit() {
        assert_eq!(
            targets("mail.a.b.c.d.e.f.g.example.com"),
            [
                "mail.a.b.c.d.e.f.g.example.com",
                "c.d.e.f.g.example.com",
                "d.e.f.g.example.com",
                "e.f.g.example.com",
                "f.g.example.com",
                "g.example.com",
                "example.com",
                "com",
            ]
        );
        assert_eq!(targets("b.c.d.e.f.g.h.com")[1], "c.d.e.f.g.h.com");
        assert_eq!(targets("c.d.e.f.g.h.com")[1], "d.e.f.g.h.com");
        assert_eq!(targets("com"), ["com"]);
    }

    #[test]
    fn one_below() {
        assert_eq!(one_label_below("a.mail.example.com", 3), "example.com");
        assert_eq!(one_label_below("example.com", 3), "example.com");
        assert_eq!(one_label_below("com", 3), "com");
    }
}
