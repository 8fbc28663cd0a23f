//! To whom a report goes, as the domain publishes it at that time.
//!
//! | report | record | leaves out |
//! |---|---|---|
//! | DMARC | `rua` of the policy domain's record (RFC 9990 §3.4) | other schemes than `mailto`; hosts elsewhere that do not agree (§4) |
//! | failure | `ruf` of that record, unless it is a public suffix domain's (RFC 9991 §3, §5) | the same |
//! | TLS | `rua` at `_smtp._tls.DOMAIN` (RFC 8460 §3), by mail and by HTTPS | other schemes |

use waxwing_dns::Resolve;
use waxwing_mailauth::dmarc::record::ReportUri;
use waxwing_mailauth::dmarc::{self, Destination, Psd};
use waxwing_mailauth::policy::tls_rpt;
use waxwing_message::Address;

/// Destinations of one report. RFC 9990 §3.5 leaves the limit to us; RFC 7489 §6.2 wanted two.
const DESTINATIONS_MAX: usize = 5;

/// One mailbox that wants the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub address: Address,
    /// The most octets that it takes: `!10m`.
    pub size_limit: Option<u64>,
}

/// Who wants the report.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub places: Vec<Place>,
    /// Web servers that want it posted: `https` URIs, as a stranger wrote them. TLS reports only.
    pub posts: Vec<String>,
    /// In words: who does not get it although the record names them.
    pub left_out: Vec<String>,
    /// The DNS could not say something that it may say later.
    pub unknown: Option<String>,
    /// Why there is nobody at all, for certain.
    pub nobody: Option<String>,
}

impl Wanted {
    fn nobody(why: impl Into<String>) -> Wanted {
        Wanted { nobody: Some(why.into()), ..Wanted::default() }
    }

    fn unknown(why: impl Into<String>) -> Wanted {
        Wanted { unknown: Some(why.into()), ..Wanted::default() }
    }

    fn add(&mut self, address: Address, size_limit: Option<u64>) {
        if self.places.iter().any(|place| place.address == address) {
            return;
        }
        match self.is_full() {
            false => self.places.push(Place { address, size_limit }),
            true => self.leave_out(&address, "no more destinations are served"),
        }
    }

    fn add_post(&mut self, uri: String) {
        match self.is_full() {
            false => self.posts.push(uri),
            true => self.leave_out(&uri, "no more destinations are served"),
        }
    }

    fn is_full(&self) -> bool {
        self.places.len() + self.posts.len() >= DESTINATIONS_MAX
    }

    fn leave_out(&mut self, who: impl std::fmt::Display, why: &str) {
        self.left_out.push(format!("{who}: {why}"));
    }
}

/// Who wants to hear how mail under a domain's name fared.
pub(super) async fn dmarc(resolver: &impl Resolve, domain: &str) -> Wanted {
    let record = match record(resolver, domain).await {
        Ok(record) => record,
        Err(wanted) => return wanted,
    };
    if record.rua.is_empty() {
        return Wanted::nobody("the domain's record asks for no reports any more");
    }
    let mut wanted = Wanted::default();
    for uri in &record.rua {
        let asked = dmarc::external_destination(resolver, domain, host(uri)).await;
        add_dmarc(domain, uri, asked, &mut wanted);
    }
    wanted
}

/// Who wants to hear of a message that failed under a domain's name.
pub(super) async fn failure(resolver: &impl Resolve, domain: &str) -> Wanted {
    let record = match record(resolver, domain).await {
        Ok(record) => record,
        Err(wanted) => return wanted,
    };
    if record.ruf.is_empty() || record.psd == Psd::Yes {
        return Wanted::nobody("the domain's record asks for no failure reports any more");
    }
    let mut wanted = Wanted::default();
    for uri in &record.ruf {
        let asked = dmarc::external_failure_destination(resolver, domain, host(uri)).await;
        add_dmarc(domain, uri, asked, &mut wanted);
    }
    wanted
}

async fn record(resolver: &impl Resolve, domain: &str) -> Result<dmarc::Record, Wanted> {
    let found = dmarc::discover(resolver, domain).await;
    let here = found.policy_domain.as_deref() == Some(domain);
    found.record.filter(|_| here).ok_or_else(|| match found.failed {
        Some(failed) => Wanted::unknown(failed),
        None => Wanted::nobody("the domain has no DMARC record any more"),
    })
}

/// The host of a destination; empty when it is not one by mail.
fn host(uri: &ReportUri) -> &str {
    uri.address.as_ref().map_or("", |address| address.domain())
}

/// RFC 9990 §4: whether a host elsewhere agrees, and where it wants the report instead.
fn add_dmarc(
    domain: &str,
    uri: &ReportUri,
    asked: Result<Destination, dmarc::TemporaryFailure>,
    wanted: &mut Wanted,
) {
    let Some(address) = &uri.address else {
        return wanted.leave_out(&uri.uri, "reports are sent by mail only");
    };
    let host = address.domain();
    match asked {
        Ok(Destination::SameOrganization) => wanted.add(address.clone(), uri.size_max_octets),
        Ok(Destination::Agrees { instead }) if instead.is_empty() => {
            wanted.add(address.clone(), uri.size_max_octets);
        }
        Ok(Destination::Agrees { instead }) => {
            for instead in instead {
                match instead.address {
                    Some(address) => wanted.add(address, instead.size_max_octets),
                    None => wanted.leave_out(&instead.uri, "reports are sent by mail only"),
                }
            }
        }
        Ok(Destination::Refused) => {
            let why = format!(
                "{host} belongs to somebody else and has not agreed \
                 (no record at {domain}._report._dmarc.{host})"
            );
            wanted.leave_out(address, &why);
        }
        Err(failure) => wanted.unknown = Some(failure.to_string()),
    }
}

/// Who wants to hear how TLS to a domain's servers went.
pub(super) async fn tls(resolver: &impl Resolve, domain: &str) -> Wanted {
    let name = tls_rpt::record_name(domain);
    let texts = match resolver.txt(&name).await {
        Ok(answer) => answer.records,
        Err(error) if error.is_temporary() => {
            return Wanted::unknown(format!("the DNS could not say TXT of {name}: {error}"));
        }
        Err(_) => return Wanted::nobody(format!("there is no record at {name}")),
    };
    let record = match tls_rpt::Record::select(texts.iter().map(Vec::as_slice)) {
        Ok(Some(record)) => record,
        Ok(None) => return Wanted::nobody(format!("there is no record at {name}")),
        Err(error) => return Wanted::nobody(format!("the record at {name}: {error}")),
    };
    let mut wanted = Wanted::default();
    for destination in record.rua {
        match destination {
            tls_rpt::Destination::Mailto(text) => match Address::parse(&text) {
                Ok(address) => wanted.add(address, None),
                Err(error) => wanted.leave_out(text, &error.to_string()),
            },
            tls_rpt::Destination::Https(uri) => wanted.add_post(uri),
        }
    }
    if wanted.places.is_empty() && wanted.posts.is_empty() {
        wanted.nobody =
            Some(format!("the record at {name} names no place that a report can go to"));
    }
    wanted
}
