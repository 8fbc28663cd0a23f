//! From outcomes to what the store is told: rows that end or wait, the journey's steps, reports.
//!
//! The state table of an entry stands at the head of [`crate::queue`]; the transitions out of
//! *leased* are decided here, without touching anything.

use jiff::Timestamp;
use waxwing_message::dsn::{Action, RecipientReport};
use waxwing_message::journey::{Event, Step};
use waxwing_message::{JourneyId, ReversePath};
use waxwing_store::{QueueEntry, Settlement};

use super::outcome::{Fate, NextHop, Outcome};
use crate::clock::later;
use crate::policy::Policy;

/// What is to be settled for one lease.
pub(crate) struct Decisions {
    /// One for each entry, in their order.
    pub settlements: Vec<Settlement>,
    /// Steps that need no report.
    pub events: Vec<Event>,
    /// What the sender is to be told, by kind: failures, delays, successes.
    pub notices: Vec<Notice>,
}

/// One report to be written, and the steps that will name its journey.
#[derive(Default)]
pub(crate) struct Notice {
    pub recipients: Vec<RecipientReport>,
    pub steps: Vec<PendingStep>,
}

/// A step that waits for the report's journey.
#[derive(Clone)]
pub(crate) struct PendingStep {
    kind: Action,
    recipient: waxwing_message::Address,
    status: String,
    reason: String,
}

impl PendingStep {
    /// The step; `None` when the report could not be made, where only a bounce leaves a step.
    pub fn with(&self, report: Option<JourneyId>) -> Option<Step> {
        let recipient = self.recipient.clone();
        match (self.kind, report) {
            (Action::Failed, report) => {
                let (status, reason) = (self.status.clone(), self.reason.clone());
                Some(Step::Bounced { recipient, status, reason, report })
            }
            (Action::Delayed, Some(report)) => Some(Step::DelayWarned { recipient, report }),
            (_, Some(report)) => Some(Step::SuccessReported { recipient, report }),
            (_, None) => None,
        }
    }
}

/// Decides for every entry. `random` gives the jitter.
pub(crate) fn decide(
    policy: &Policy,
    entries: &[QueueEntry],
    outcomes: &[Outcome],
    now: Timestamp,
    mut random: impl FnMut() -> u32,
) -> Decisions {
    let mut decider = Decider { policy, now, events: Vec::new(), notices: Default::default() };
    let settlements = entries
        .iter()
        .zip(outcomes)
        .map(|(entry, outcome)| decider.entry(entry, outcome, random()))
        .collect();
    let Decider { events, notices, .. } = decider;
    let notices = notices.into_iter().filter(|notice| !notice.recipients.is_empty()).collect();
    Decisions { settlements, events, notices }
}

struct Decider<'p> {
    policy: &'p Policy,
    now: Timestamp,
    events: Vec<Event>,
    /// Failures, delays, successes.
    notices: [Notice; 3],
}

impl Decider<'_> {
    fn entry(&mut self, entry: &QueueEntry, outcome: &Outcome, random: u32) -> Settlement {
        match outcome.fate {
            Fate::Delivered(hop) => {
                let action = match hop {
                    NextHop::Mailbox => Some(Action::Delivered),
                    NextHop::Silent => Some(Action::Relayed),
                    NextHop::Reports => None,
                };
                if let Some(action) = action
                    && entry.recipient.notify().on_success()
                {
                    self.tell(entry, outcome, action);
                }
                Settlement::Ended
            }
            Fate::Failed => self.fail(entry, outcome),
            Fate::Deferred if self.now >= entry.expires_at => {
                let mut expired = outcome.clone();
                expired.status = waxwing_smtp::reply::EnhancedStatus::new(5, 4, 7);
                expired.reason =
                    format!("given up after trying for long enough: {}", outcome.explanation());
                self.fail(entry, &expired)
            }
            Fate::Deferred => self.defer(entry, outcome, random),
        }
    }

    fn fail(&mut self, entry: &QueueEntry, outcome: &Outcome) -> Settlement {
        if entry.recipient.notify().on_failure() && entry.reverse_path != ReversePath::Null {
            self.tell(entry, outcome, Action::Failed);
        } else {
            let step = pending(entry, outcome, Action::Failed).with(None);
            self.events.extend(step.map(|step| Event { at: self.now, step }));
        }
        Settlement::Ended
    }

    fn defer(&mut self, entry: &QueueEntry, outcome: &Outcome, random: u32) -> Settlement {
        let reason = outcome.explanation();
        let wanted = entry.recipient.notify().on_delay() && entry.reverse_path != ReversePath::Null;
        let warn_at = later(entry.created_at, self.policy.delay_warning_after);
        let warn = wanted && !entry.delay_warned && self.now >= warn_at;
        let attempts = entry.attempts.saturating_add(1);
        let mut at = self.policy.schedule.next(attempts, self.now, random);
        if wanted && !entry.delay_warned && !warn {
            // A try when the warning is due, so that it comes after four hours and not after eight.
            at = at.min(warn_at);
        }
        // The last try is made when the entry expires, not before and not never.
        at = at.min(entry.expires_at);
        let recipient = entry.recipient.address.clone();
        let step = Step::Deferred { recipient, next_attempt_at: at, reason: reason.clone() };
        self.events.push(Event { at: self.now, step });
        if warn {
            self.tell(entry, outcome, Action::Delayed);
        }
        Settlement::Retry { at, reason, delay_warned: entry.delay_warned || warn }
    }

    fn tell(&mut self, entry: &QueueEntry, outcome: &Outcome, action: Action) {
        if entry.reverse_path == ReversePath::Null {
            return;
        }
        let notice = match action {
            Action::Failed => &mut self.notices[0],
            Action::Delayed => &mut self.notices[1],
            _ => &mut self.notices[2],
        };
        notice.recipients.push(RecipientReport {
            recipient: entry.recipient.address.clone(),
            original: entry.recipient.original.clone(),
            action,
            status: outcome.status.to_string(),
            remote_mta: outcome.remote.clone().filter(|_| outcome.reply.is_some()),
            diagnostic: outcome.reply.as_ref().map(|reply| {
                let enhanced = reply.enhanced.as_ref().map(|e| format!("{e} ")).unwrap_or_default();
                format!("{} {enhanced}{}", reply.code, reply.text.replace('\n', " "))
            }),
            reason: match outcome.reply {
                None => Some(outcome.reason.clone()),
                Some(_) if outcome.status == EXPIRED => Some(outcome.reason.clone()),
                Some(_) => None,
            },
            last_attempt: Some(self.now),
            will_retry_until: (action == Action::Delayed).then_some(entry.expires_at),
        });
        notice.steps.push(pending(entry, outcome, action));
    }
}

const EXPIRED: waxwing_smtp::reply::EnhancedStatus =
    waxwing_smtp::reply::EnhancedStatus::new(5, 4, 7);

fn pending(entry: &QueueEntry, outcome: &Outcome, kind: Action) -> PendingStep {
    PendingStep {
        kind,
        recipient: entry.recipient.address.clone(),
        status: outcome.status.to_string(),
        reason: if outcome.status == EXPIRED {
            outcome.reason.clone()
        } else {
            outcome.explanation()
        },
    }
}
