//! Failure reports (RFC 9991): one message that failed, told within the hour to the domain that it
//! claims to be from. Off unless the operator turns them on, since they tell strangers about mail.
//!
//! What fails in the same way within the hour is one report that says how often. No domain has more
//! than twenty ways at a time (the store sees to that), so that whoever sends a million forgeries makes
//! the victim get twenty reports an hour. Reports are signed by our domain and come from the null
//! reverse-path; mail from there and mail that looks like a report is never reported on, so that no
//! loop can arise.

use std::time::Duration;

use jiff::SignedDuration;
use waxwing_dns::Resolve;
use waxwing_mailauth::report::failure::{Disclosure, read_failure};
use waxwing_mailauth::report::{Outgoing, compose_failure};
use waxwing_message::{Address, submission};
use waxwing_store::{AcceptError, Acceptance, FailedAlike, StoreError};

use super::Reporter;
use super::destination::{self, Place};
use crate::clock::Clock;
use crate::examine::KeptFailure;
use crate::report::Draft;

/// How long messages alike are collected.
const COLLECTED_FOR: SignedDuration = SignedDuration::from_hours(1);
/// What nobody can be asked about for so long is not told.
const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(6);
/// Reports sent at one look.
const BATCH: usize = 100;
/// How often there is a look.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(300);

impl<R: Resolve, C: Clock> Reporter<R, C> {
    /// Tells what failed more than an hour ago; gives to whom.
    pub async fn tell_failures(&self) -> Result<Vec<Address>, StoreError> {
        let now = self.clock.now();
        let before = now.saturating_sub(COLLECTED_FOR).unwrap_or(jiff::Timestamp::MIN);
        let mut told = Vec::new();
        for failed in self.store.failures_due(before, BATCH).await? {
            let late = now.duration_since(failed.first_at) > GIVEN_UP_AFTER;
            // Turned off meanwhile: nothing is told any more.
            let places = match self.policy.reports.failures {
                false => Some(Vec::new()),
                true => self.places(&failed.domain).await.or(late.then(Vec::new)),
            };
            if let Some(places) = places {
                told.extend(self.tell_failure(failed, &places).await?);
            }
        }
        Ok(told)
    }

    /// Who wants it, as published now; `None` when the DNS cannot say.
    async fn places(&self, domain: &str) -> Option<Vec<Place>> {
        let wanted = destination::failure(&self.resolver, domain).await;
        if let Some(why) = &wanted.unknown {
            tracing::debug!(domain, why, "a failure report waits");
            return None;
        }
        let left_out = wanted.left_out.join("; ");
        if !left_out.is_empty() || wanted.nobody.is_some() {
            let nobody = wanted.nobody.unwrap_or_default();
            tracing::debug!(domain, left_out, nobody, "a failure report is not sent to all");
        }
        Some(wanted.places)
    }

    async fn tell_failure(
        &self,
        failed: FailedAlike,
        places: &[Place],
    ) -> Result<Vec<Address>, StoreError> {
        let mut messages = Vec::with_capacity(places.len());
        for place in places {
            messages.extend(self.failure_message(&failed, place).await?);
        }
        let domain = failed.domain.clone();
        let to: Vec<Address> = match messages.is_empty() {
            true => Vec::new(),
            false => places.iter().map(|place| place.address.clone()).collect(),
        };
        match self.store.failure_told(failed, messages).await {
            Ok(true) => {
                if !to.is_empty() {
                    tracing::info!(domain, ?to, "a failure was reported");
                }
                Ok(to)
            }
            Ok(false) => Ok(Vec::new()),
            Err(AcceptError::Store(error)) => Err(error),
            Err(error) => {
                tracing::debug!(domain, %error, "a failure report waits");
                Ok(Vec::new())
            }
        }
    }

    /// The report for one place; `None` when it cannot be made or taken.
    async fn failure_message(
        &self,
        failed: &FailedAlike,
        place: &Place,
    ) -> Result<Option<Acceptance>, StoreError> {
        let Ok(kept) = serde_json::from_str::<KeptFailure>(&failed.what) else { return Ok(None) };
        let Ok(mut report) = read_failure(kept.report.as_bytes(), kept.original.as_bytes()) else {
            return Ok(None);
        };
        report.incidents = Some(failed.times).filter(|times| *times > 1);
        let sender = self.sender().await?;
        let domain = sender.from.address.domain().to_owned();
        let now = self.clock.now();
        let message_id = submission::new_message_id(self.dice.sixteen(), &self.policy.host_name);
        let outgoing = Outgoing {
            from: &sender.from,
            to: std::slice::from_ref(&place.address),
            submitter: &domain,
            at: now,
            message_id: &message_id,
            random: self.dice.sixteen(),
            size_limit: place.size_limit,
        };
        // What was kept is redacted already.
        let disclosure = Disclosure { body: false, redact: None };
        let Ok(octets) = compose_failure(&report, &disclosure, &outgoing) else { return Ok(None) };
        let (journey, to) = (self.dice.journey_id(now), place.address.clone());
        let draft = Draft::of_our_own(journey, to, octets, message_id, domain, now);
        draft.acceptance(&self.store, &self.policy, &self.signers, &self.clock).await
    }
}
