//! The reports between mail domains: ours to others, daily and of single failures, and those of others
//! about us.
//!
//! ```text
//! mail is judged ── observation ─┐                         ┌─ one message a destination ─ queue
//! mail is sent ── TLS outcome ───┴─ counted by day ─ send ─┤     (one transaction: the day's
//!                                                          └─     observations are gone with it)
//!
//! mail is deposited, looks like a report ─ receive ─ believed? ours? ─ kept, journey step
//! ```
//!
//! | module | its job |
//! |---|---|
//! | `schedule` | when a day's report leaves; what waits before it is tried again |
//! | `destination` | who wants it, as published at that time |
//! | `send` | one domain's day into messages that are accepted |
//! | `post` | TLS reports that are wanted over HTTPS |
//! | `failures` | what failed, told within the hour |
//! | [`tls`] | how TLS went, from the courier into the store |
//! | `receive` | reports of others: recognised, believed, kept |
//!
//! Reports leave from the null reverse-path, so that neither a bounce of theirs nor ours is ever
//! made. `Deviates:` RFC 5321 §4.5.5 would have another reverse-path for what is no notification; but
//! nobody here can mend a report that does not arrive, and what comes of it stands in its journey.

mod destination;
mod failures;
mod post;
mod receive;
mod schedule;
mod send;
pub mod tls;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use waxwing_dns::Resolve;
use waxwing_message::parse::field::fields;
use waxwing_store::{ReportKind, Store, StoreError, day_of};

use crate::clock::Clock;
use crate::dice::Dice;
use crate::policy::Policy;
use crate::sign::Signers;
use schedule::Tried;

pub use post::PostReport;
pub use send::{Told, ToldHow};

/// How often there is a look for reports that are due.
const LOOK_EVERY: Duration = Duration::from_secs(300);
/// How often there is a look for mail to be read that nobody told us of.
const READ_EVERY: Duration = Duration::from_secs(60);
/// After a change, and after a failure of the store.
const REST: Duration = Duration::from_secs(1);
/// Days after which observations that could not be reported are forgotten.
const KEEP_DAYS: i64 = 3;
/// How long reports about us are kept.
const KEEP_REPORTS: jiff::SignedDuration = jiff::SignedDuration::from_hours(400 * 24);

/// Sends and reads reports.
pub struct Reporter<R, C> {
    store: Store,
    policy: Arc<Policy>,
    resolver: R,
    clock: C,
    dice: Arc<Dice>,
    signers: Signers,
    post: Arc<dyn PostReport>,
    tried: Mutex<Tried>,
}

impl<R: Resolve, C: Clock> Reporter<R, C> {
    /// One for the whole program.
    pub fn new(
        store: Store,
        policy: Arc<Policy>,
        clock: C,
        dice: Arc<Dice>,
        resolver: R,
        post: Arc<dyn PostReport>,
    ) -> Reporter<R, C> {
        let (signers, tried) = (Signers::default(), Mutex::default());
        Reporter { store, policy, resolver, clock, dice, signers, post, tried }
    }

    /// Sends what is due and reads what comes, for ever.
    pub async fn run(&self) {
        tokio::join!(self.keep_sending(), self.keep_telling(), self.keep_reading());
    }

    async fn keep_sending(&self) {
        loop {
            if let Err(error) = self.send_due().await {
                tracing::warn!(%error, "reports to other domains wait");
            }
            self.clock.sleep(LOOK_EVERY).await;
        }
    }

    async fn keep_telling(&self) {
        loop {
            if let Err(error) = self.tell_failures().await {
                tracing::warn!(%error, "failure reports wait");
            }
            self.clock.sleep(failures::LOOK_EVERY).await;
        }
    }

    async fn keep_reading(&self) {
        let mut changes = self.store.watch_all();
        loop {
            let mut wait = READ_EVERY;
            match self.read_one().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "a report that came could not be kept yet");
                    wait = REST;
                }
            }
            tokio::select! {
                () = changes.changed(), if wait == READ_EVERY => self.clock.sleep(REST).await,
                () = self.clock.sleep(wait) => {}
            }
        }
    }

    /// Sends the reports whose moment has come, and forgets what is too old.
    pub async fn send_due(&self) -> Result<(), StoreError> {
        let today = day_of(self.clock.now());
        if self.policy.reports.send {
            for kind in [ReportKind::Dmarc, ReportKind::Tls] {
                let mut waiting = self.store.domains_to_report_to(kind, today).await?;
                // Several nodes begin in different places, so that they seldom do the same work.
                let first = self.dice.number() as usize % waiting.len().max(1);
                waiting.rotate_left(first);
                for (domain, day) in waiting {
                    if self.is_due(kind, &domain, day) {
                        self.tell(kind, &domain, day).await?.log();
                    }
                }
            }
        }
        self.store.drop_observations(today - KEEP_DAYS).await?;
        let before = self.clock.now().saturating_sub(KEEP_REPORTS);
        self.store.forget_reports(before.unwrap_or(jiff::Timestamp::MIN)).await?;
        Ok(())
    }

    /// Whether its moment has come, and it was not tried in vain a short while ago.
    fn is_due(&self, kind: ReportKind, domain: &str, day: i64) -> bool {
        let moment = schedule::moment(&self.policy.host_name, domain, day);
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        moment <= self.clock.now() && tried.may(kind, domain, day, self.clock.instant())
    }

    /// Sends the reports of all finished days at once, whenever their moment is; with `today`, also of
    /// the day that has not ended. For operators and tests.
    pub async fn send_now(&self, today: bool) -> Result<Vec<Told>, StoreError> {
        let before = day_of(self.clock.now()) + i64::from(today);
        let mut told = Vec::new();
        for kind in [ReportKind::Dmarc, ReportKind::Tls] {
            for (domain, day) in self.store.domains_to_report_to(kind, before).await? {
                told.push(self.tell(kind, &domain, day).await?);
            }
        }
        Ok(told)
    }
}

/// Octets among which the parts of a report show.
const HEAD_OCTETS: usize = 32 * 1024;

/// Whether a message that comes in should be read as a report later: a cheap look that errs towards
/// yes.
pub(crate) fn may_be_report(raw: &[u8]) -> bool {
    if says_report(raw) {
        return true;
    }
    let Some(media_type) = field_text(raw, "Content-Type") else { return false };
    let holds_files = ["multipart/mixed", "multipart/report", "application/", "text/xml"];
    if !holds_files.iter().any(|kind| media_type.starts_with(kind)) {
        return false;
    }
    let head = String::from_utf8_lossy(&raw[..raw.len().min(HEAD_OCTETS)]).to_ascii_lowercase();
    ["feedback-report", "tlsrpt", "gzip", "zip", ".xml", "/xml", ".json", ".gz"]
        .iter()
        .any(|sign| head.contains(sign))
}

/// Whether a message is a report of any kind, by what it says of itself: nothing is reported of it.
pub(crate) fn is_report(raw: &[u8]) -> bool {
    let kind = field_text(raw, "Content-Type").unwrap_or_default();
    kind.starts_with("multipart/report") || may_be_report(raw)
}

/// Whether the subject is that of an aggregate or TLS report (RFC 9990 §3.5.2, RFC 8460 §5.3).
pub(crate) fn says_report(raw: &[u8]) -> bool {
    field_text(raw, "Subject").is_some_and(|subject| {
        let mut words = subject.split_ascii_whitespace();
        words.next() == Some("report") && words.next() == Some("domain:")
    })
}

fn field_text(raw: &[u8], name: &str) -> Option<String> {
    let field = fields(raw).find(|field| field.is(name))?;
    Some(String::from_utf8_lossy(&field.unfolded()).trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_suspected_by_subject_and_by_parts() {
        let subject = b"Subject: Report Domain: wax.test\r\n Submitter: x.example\r\n\r\n";
        assert!(says_report(subject) && may_be_report(subject));
        let attached = b"Subject: x\r\nContent-Type: Multipart/Mixed; boundary=b\r\n\r\n--b\r\n\
            Content-Type: application/gzip\r\n\r\n";
        assert!(may_be_report(attached) && !says_report(attached));
        assert!(!may_be_report(b"Subject: about gzip\r\n\r\ngzip"));
        assert!(!may_be_report(b"Content-Type: multipart/alternative\r\n\r\n.json"));
        assert!(!may_be_report(b""));
    }
}
