//! One domain's day: what was observed, made into reports, one message for each destination; of TLS
//! also one posting for each web server that wants it (RFC 8460 §3: a report is delivered once one of
//! the destinations has it).
//!
//! The messages are accepted in the transaction that takes the observations out
//! ([`Store::report_sent`](waxwing_store::Store::report_sent)). A node that dies before has done
//! nothing; after it, the queue has the rest. More than one report holds (thousands of rows) makes
//! several, each with an id of its own.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use waxwing_dns::Resolve;
use waxwing_mailauth::report::{
    self, ComposeError, Outgoing, ReportMeta, compose_aggregate, compose_tls,
};
use waxwing_message::compose::Mailbox;
use waxwing_message::{Address, JourneyId, submission};
use waxwing_store::{Acceptance, Observed, ReportKind, StoreError};

use super::destination::{self, Place, Wanted};
use super::post::post_to_all;
use super::{Reporter, schedule};
use crate::clock::Clock;
use crate::report::Draft;

/// Rows of one report about mail: some 20 MB of XML, which readers take.
const DMARC_ROWS_MAX: usize = 20_000;
/// Rows of one report about TLS: its JSON is to stay below 8 MB.
const TLS_ROWS_MAX: usize = 5_000;
/// Reports about one domain and day.
const SLICES_MAX: usize = 100;
/// After so long a destination that the DNS says nothing of is left out, and the others are served.
const PATIENCE: jiff::SignedDuration = jiff::SignedDuration::from_hours(36);

/// What became of one domain's day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What about.
    pub kind: ReportKind,
    /// Whose policy.
    pub domain: String,
    /// Since 1970, in UTC.
    pub day: i64,
    /// What was done.
    pub how: ToldHow,
    /// In words: those whom the record names and who were not served.
    pub left_out: Vec<String>,
}

/// What was done about one domain's day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToldHow {
    /// Responsibility for these messages is taken.
    Sent {
        /// Each destination and its message's journey.
        to: Vec<(Address, JourneyId)>,
        /// URIs whose servers have it.
        posted: Vec<String>,
        /// Messages or sessions that are reported.
        counted: u64,
    },
    /// Nobody wants to hear it.
    Unwanted {
        /// In words.
        why: String,
    },
    /// It may be sent later.
    Later {
        /// In words.
        why: String,
    },
    /// Another node was first, or more was observed meanwhile.
    Overtaken,
}

impl Told {
    /// Into the log.
    pub(super) fn log(&self) {
        let Told { kind, domain, how, left_out, .. } = self;
        let left_out = left_out.join("; ");
        match how {
            ToldHow::Sent { to, posted, counted } => {
                let to = to.iter().map(|(to, _)| to.to_string());
                let to: Vec<String> = to.chain(posted.iter().cloned()).collect();
                tracing::info!(?kind, domain, to = to.join(" "), counted, left_out, "reported");
            }
            ToldHow::Unwanted { why } => {
                tracing::debug!(?kind, domain, why, left_out, "nobody wants a report");
            }
            ToldHow::Later { why } => {
                tracing::info!(?kind, domain, why, left_out, "a report waits");
            }
            ToldHow::Overtaken => tracing::debug!(?kind, domain, "another node was first"),
        }
    }
}

/// As whom we report.
pub(super) struct Sender {
    pub from: Mailbox,
    organization: String,
}

/// A report in the words of its kind.
enum Written {
    Dmarc(report::AggregateReport),
    Tls(report::TlsReport),
}

impl Written {
    fn compose(&self, domain: &str, to: &Outgoing<'_>) -> Result<Vec<u8>, ComposeError> {
        match self {
            Written::Dmarc(report) => compose_aggregate(report, to),
            Written::Tls(report) => compose_tls(report, domain, to),
        }
    }

    /// The file that is posted; `None` when reports of its kind go by mail alone.
    fn to_post(&self) -> Option<Vec<u8>> {
        match self {
            Written::Dmarc(_) => None,
            Written::Tls(report) => Some(report::gzip(&report::write_tls(report))),
        }
    }
}

impl<R: Resolve, C: Clock> Reporter<R, C> {
    /// Sends what was observed of a domain on a day to whoever wants it.
    pub(super) async fn tell(
        &self,
        kind: ReportKind,
        domain: &str,
        day: i64,
    ) -> Result<Told, StoreError> {
        let mut wanted = match kind {
            ReportKind::Dmarc => destination::dmarc(&self.resolver, domain).await,
            ReportKind::Tls => destination::tls(&self.resolver, domain).await,
            ReportKind::Failure => Wanted::default(),
        };
        let how = match self.obstacle(kind, day, &mut wanted).await? {
            Some(obstacle) => {
                if kind == ReportKind::Tls && wanted.nobody.is_some() {
                    self.forget(kind, domain, day).await?;
                }
                obstacle
            }
            None => self.send(kind, domain, day, &mut wanted).await?,
        };
        let left_out = wanted.left_out;
        Ok(Told { kind, domain: domain.to_owned(), day, how, left_out })
    }

    /// Why nothing is to be sent. Who cannot be served now is left out when others can.
    async fn obstacle(
        &self,
        kind: ReportKind,
        day: i64,
        wanted: &mut Wanted,
    ) -> Result<Option<ToldHow>, StoreError> {
        if let Some(why) = &wanted.nobody {
            return Ok(Some(ToldHow::Unwanted { why: why.clone() }));
        }
        let age = self.clock.now().duration_since(schedule::end_of(day));
        if let Some(why) = wanted.unknown.as_ref().filter(|_| age < PATIENCE) {
            return Ok(Some(ToldHow::Later { why: why.clone() }));
        }
        if wanted.places.is_empty() && wanted.posts.is_empty() {
            let why = "none of the destinations can be sent a report".to_owned();
            return Ok(Some(ToldHow::Unwanted { why }));
        }
        // RFC 8460 §3: a report by mail that is not signed must be ignored, so it need not be sent. Of
        // DMARC's SPF may speak for it.
        if kind == ReportKind::Tls && !wanted.places.is_empty() {
            let domain = self.sender().await?.from.address.domain().to_owned();
            let signers = self.signers.of(&self.store, &self.clock, &domain).await?;
            if !self.policy.sign || signers.is_empty() {
                let why = format!("a TLS report must be signed, and {domain} has no signing key");
                if wanted.posts.is_empty() {
                    return Ok(Some(ToldHow::Later { why }));
                }
                let unserved = wanted.places.drain(..);
                wanted.left_out.extend(unserved.map(|place| format!("{}: {why}", place.address)));
            }
        }
        Ok(None)
    }

    async fn send(
        &self,
        kind: ReportKind,
        domain: &str,
        day: i64,
        wanted: &mut Wanted,
    ) -> Result<ToldHow, StoreError> {
        let (mut to, mut posted, mut counted) = (Vec::new(), Vec::new(), 0);
        let (places, posts) =
            (std::mem::take(&mut wanted.places), std::mem::take(&mut wanted.posts));
        let left_out = &mut wanted.left_out;
        let most = if kind == ReportKind::Tls { TLS_ROWS_MAX } else { DMARC_ROWS_MAX };
        for _ in 0..SLICES_MAX {
            let observed = self.store.observations(kind, domain, day, most).await?;
            let rows = observed.seen.len();
            if rows == 0 {
                break;
            }
            let times: u64 = observed.seen.iter().map(|(_, times)| times).sum();
            let sender = self.sender().await?;
            let Some(written) = write(&observed, &self.meta(&sender, &observed)) else {
                let why = "what was observed cannot be read any more".to_owned();
                return Ok(ToldHow::Unwanted { why });
            };
            let messages = self.messages(&observed, &written, &sender, &places, left_out).await?;
            let taken = match written.to_post() {
                Some(file) => post_to_all(&*self.post, &posts, &file, left_out).await,
                None => Vec::new(),
            };
            if messages.is_empty() && taken.is_empty() {
                let why = "no destination can take it".to_owned();
                // A web server that is away may come back.
                return Ok(match posts.is_empty() {
                    true => ToldHow::Unwanted { why },
                    false => ToldHow::Later { why },
                });
            }
            let sent: Vec<_> = messages.iter().map(|(to, m)| (to.clone(), m.journey)).collect();
            let messages = messages.into_iter().map(|(_, message)| message).collect();
            match self.store.report_sent(observed, messages).await {
                Ok(true) => {
                    to.extend(sent);
                    posted.extend(taken);
                    counted += times;
                }
                Ok(false) => break,
                Err(waxwing_store::AcceptError::Store(error)) => return Err(error),
                // An account that was removed meanwhile: the next attempt will not plan for it.
                Err(error) => return Ok(ToldHow::Later { why: error.to_string() }),
            }
            if rows < most {
                break;
            }
        }
        Ok(match counted {
            0 => ToldHow::Overtaken,
            _ => ToldHow::Sent { to, posted, counted },
        })
    }

    /// One message for each destination that can take it.
    async fn messages(
        &self,
        observed: &Observed,
        written: &Written,
        sender: &Sender,
        places: &[Place],
        left_out: &mut Vec<String>,
    ) -> Result<Vec<(Address, Acceptance)>, StoreError> {
        let now = self.clock.now();
        let domain = sender.from.address.domain().to_owned();
        let mut messages = Vec::with_capacity(places.len());
        for place in places {
            let message_id =
                submission::new_message_id(self.dice.sixteen(), &self.policy.host_name);
            let outgoing = Outgoing {
                from: &sender.from,
                to: std::slice::from_ref(&place.address),
                submitter: &domain,
                at: now,
                message_id: &message_id,
                random: self.dice.sixteen(),
                size_limit: place.size_limit,
            };
            let octets = match written.compose(&observed.domain, &outgoing) {
                Ok(octets) => octets,
                Err(error) => {
                    left_out.push(format!("{}: {error}", place.address));
                    continue;
                }
            };
            let to = place.address.clone();
            let journey = self.dice.journey_id(now);
            let draft = Draft::of_our_own(journey, to, octets, message_id, domain.clone(), now);
            let acceptance =
                draft.acceptance(&self.store, &self.policy, &self.signers, &self.clock).await?;
            match acceptance {
                Some(acceptance) => messages.push((place.address.clone(), acceptance)),
                None => left_out.push(format!("{}: there is no such mailbox", place.address)),
            }
        }
        Ok(messages)
    }

    /// Takes out what nobody ever asked for: most domains want no TLS reports.
    async fn forget(&self, kind: ReportKind, domain: &str, day: i64) -> Result<(), StoreError> {
        loop {
            let observed = self.store.observations(kind, domain, day, TLS_ROWS_MAX).await?;
            if observed.seen.is_empty() {
                return Ok(());
            }
            match self.store.report_sent(observed, Vec::new()).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(waxwing_store::AcceptError::Store(error)) => return Err(error),
                Err(_) => return Ok(()),
            }
        }
    }

    /// As configured, else the postmaster of the domain of ours that the host name stands in: a
    /// domain that has keys, so that DMARC passes (RFC 9990 §3.5.2).
    pub(super) async fn sender(&self) -> Result<Sender, StoreError> {
        let reports = &self.policy.reports;
        let address = match &reports.from {
            Some(address) => address.clone(),
            None => {
                let domain = self.own_domain().await?;
                let made = Address::new("postmaster", &domain);
                // A host name that is no domain, as tests and demonstrations may have.
                made.unwrap_or_else(|_| {
                    Address::new("postmaster", "localhost").expect("a good address")
                })
            }
        };
        let organization = reports.organization.clone();
        let organization = organization.unwrap_or_else(|| address.domain().to_owned());
        Ok(Sender { from: Mailbox::named(organization.clone(), address), organization })
    }

    async fn own_domain(&self) -> Result<String, StoreError> {
        let host_name = self.policy.host_name.as_str();
        let mut above = host_name;
        while let Some((_, parent)) = above.split_once('.') {
            if self.store.domain(above).await?.is_some() {
                return Ok(above.to_owned());
            }
            above = parent;
        }
        Ok(host_name.to_owned())
    }

    fn meta(&self, sender: &Sender, observed: &Observed) -> ReportMeta {
        // A day that has not ended is reported as far as it has come.
        let end = schedule::end_of(observed.day).min(self.clock.now());
        ReportMeta {
            org_name: sender.organization.clone(),
            email: sender.from.address.to_string(),
            extra_contact_info: None,
            generator: Some(concat!("Waxwing ", env!("CARGO_PKG_VERSION")).to_owned()),
            unique: unique(sender, observed, end),
            begin: schedule::begin_of(observed.day),
            end,
        }
    }
}

/// What tells a report from the sender's others. The same observations make the same report, so that one
/// that was posted twice counts once.
fn unique(sender: &Sender, observed: &Observed, end: Timestamp) -> String {
    let Observed { kind, domain, day, seen, .. } = observed;
    let mut hash = blake3::Hasher::new();
    hash.update(format!("{kind:?}\n{}\n{domain}\n{day}\n{end}\n", sender.from.address).as_bytes());
    for (what, times) in seen {
        hash.update(format!("{times} {what}\n").as_bytes());
    }
    hash.finalize().to_hex()[..32].to_owned()
}

/// The report; `None` when nothing of what was observed can be read.
fn write(observed: &Observed, meta: &ReportMeta) -> Option<Written> {
    match observed.kind {
        ReportKind::Dmarc => {
            report::aggregate(parsed(observed), meta).into_iter().next().map(Written::Dmarc)
        }
        ReportKind::Tls => {
            report::aggregate_tls(parsed(observed), meta).into_iter().next().map(Written::Tls)
        }
        ReportKind::Failure => None,
    }
}

fn parsed<T: DeserializeOwned>(observed: &Observed) -> Vec<(T, u64)> {
    let read = |(what, times): &(String, u64)| match serde_json::from_str(what) {
        Ok(seen) => Some((seen, *times)),
        Err(error) => {
            tracing::warn!(domain = observed.domain, %error, "an observation cannot be read");
            None
        }
    };
    observed.seen.iter().filter_map(read).collect()
}
