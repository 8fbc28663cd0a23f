//! One attempt: from queue entries of one message and domain to one outcome each.
//!
//! ```text
//! our own domain? ── yes ── into mailboxes
//!       │ no
//! route → super::sending → outcomes
//! ```

use std::sync::Arc;

use jiff::Timestamp;
use waxwing_dns::Resolve;
use waxwing_message::Envelope;
use waxwing_message::journey::{Event, RecipientOutcome, ReplySeen, Source, Step};
use waxwing_message::trace::{self, Edited};
use waxwing_store::{Acceptance, Beside, Content, QueueEntry, Spool, Store, StoreError};

use super::outcome::{Fate, NextHop, Outcome};
use super::sending::{Sending, envelope_of, has_utf8_header};
use crate::accept::plan;
use crate::accept::taking::Taking;
use crate::clock::Clock;
use crate::dice::Dice;
use crate::outbound::connection::Opening;
use crate::outbound::{Connect, Connection, Hosts, TlsRules};
use crate::policy::Policy;
use crate::route;
use crate::rules::{Arrival, Rulebook, Sorter};
use crate::sign::Signers;

/// Everything that sending needs.
pub struct Courier<R, N, C> {
    /// Where messages and entries are.
    pub store: Store,
    /// The DNS.
    pub resolver: R,
    /// The network.
    pub net: N,
    /// The time.
    pub clock: Arc<C>,
    /// What the operator chose.
    pub policy: Arc<Policy>,
    /// Randomness.
    pub dice: Arc<Dice>,
    /// What is remembered of hosts.
    pub hosts: Hosts,
    /// Keys, for the reports that leave.
    pub signers: Signers,
    /// How policies about TLS are found, and who is told how it went.
    pub tls: TlsRules,
}

/// What came of an attempt.
#[derive(Default)]
pub(crate) struct Attempted {
    /// One for each entry, in their order.
    pub outcomes: Vec<Outcome>,
    pub events: Vec<Event>,
    /// Messages for our own mailboxes, to be accepted with the settlement.
    pub local: Vec<Acceptance>,
}

impl Attempted {
    pub fn all(entries: &[QueueEntry], outcome: &Outcome) -> Attempted {
        Attempted { outcomes: vec![outcome.clone(); entries.len()], ..Attempted::default() }
    }

    /// A mailbox of ours turned out to be full, say: nothing was put into any, later perhaps.
    pub fn give_back_local(&mut self, why: &str) {
        self.local.clear();
        self.events.clear();
        for outcome in &mut self.outcomes {
            if outcome.fate == Fate::Delivered(NextHop::Mailbox) {
                *outcome = Outcome::found(Fate::Deferred, (4, 2, 2), why);
            }
        }
    }
}

impl<R: Resolve, N: Connect, C: Clock> Courier<R, N, C> {
    /// Tries to deliver to all entries, which share message and domain and are at least one.
    pub(crate) async fn attempt(&self, entries: &[QueueEntry]) -> Attempted {
        match self.try_all(entries).await {
            Ok(attempted) => attempted,
            Err(error) => {
                tracing::error!(%error, "the store cannot work");
                let reason = "the mail store cannot be read at present";
                Attempted::all(entries, &Outcome::found(Fate::Deferred, (4, 3, 0), reason))
            }
        }
    }

    async fn try_all(&self, entries: &[QueueEntry]) -> Result<Attempted, StoreError> {
        let domain = &entries[0].domain;
        let Some(content) = self.store.queue_content(entries[0].id).await? else {
            let reason = "the stored message is missing";
            return Ok(Attempted::all(entries, &Outcome::found(Fate::Deferred, (4, 3, 0), reason)));
        };
        if self.store.domain(domain).await?.is_some() {
            return self.deposit_all(entries, &content).await;
        }
        let mut rng = self.dice.split();
        match route::find(&self.resolver, &self.policy, domain, &mut rng).await {
            Err(error) => Ok(Attempted::all(entries, &Outcome::from(&error))),
            Ok(route) => {
                let mut journey = Sending::new(self, entries, &content, rng);
                journey.utf8_header = entries[0].smtputf8 && has_utf8_header(&content).await?;
                journey.routed(domain, &route);
                let limit = self.policy.attempt_limit;
                tokio::select! {
                    biased;
                    sent = journey.along(route, domain) => sent?,
                    () = self.clock.sleep(limit) => journey.took_too_long(limit),
                }
                Ok(journey.into_attempted(domain))
            }
        }
    }

    /// The domain has become ours since the message was queued.
    async fn deposit_all(
        &self,
        entries: &[QueueEntry],
        content: &Content,
    ) -> Result<Attempted, StoreError> {
        let now = self.clock.now();
        let mut attempted = Attempted::default();
        let hosts = vec![self.policy.host_name.clone()];
        let (domain, by) = (entries[0].domain.clone(), "local domain".to_owned());
        let step = Step::Routed { domain, hosts, by, dnssec: false };
        attempted.events.push(Event { at: now, step });
        let mut recipients = Vec::with_capacity(entries.len());
        for entry in entries {
            let to = [entry.recipient.clone()];
            let plan = plan::plan(&self.store, &self.policy, &to, now).await?;
            let outcome = if plan.deposits.is_empty() && plan.queue.is_empty() {
                Outcome::found(Fate::Failed, (5, 1, 1), "no such mailbox here")
            } else {
                let hop =
                    if plan.deposits.is_empty() { NextHop::Reports } else { NextHop::Mailbox };
                let envelope = envelope_of(&[entry]);
                let acceptance = self.taken_over(envelope, content, plan, now).await?;
                let text = format!("delivered here, journey {}", acceptance.journey);
                attempted.local.push(acceptance);
                let mut outcome = Outcome::found(Fate::Delivered(hop), (2, 0, 0), "delivered here");
                outcome.reply = Some(ReplySeen { code: 250, enhanced: None, text });
                outcome
            };
            recipients.push(RecipientOutcome {
                recipient: entry.recipient.address.clone(),
                outcome: outcome.for_journey(),
            });
            attempted.outcomes.push(outcome);
        }
        let step = Step::Attempted {
            attempt: entries[0].attempts.saturating_add(1),
            host: self.policy.host_name.clone(),
            ip: None,
            tls: None,
            tls_policy: None,
            recipients,
            took_millis: 0,
        };
        attempted.events.push(Event { at: now, step });
        Ok(attempted)
    }

    /// A message that passes from the queue into this system: a journey of its own.
    async fn taken_over(
        &self,
        envelope: Envelope,
        content: &Content,
        mut plan: plan::Plan,
        now: Timestamp,
    ) -> Result<Acceptance, StoreError> {
        let journey = self.dice.journey_id(now);
        let spool = Spool::from_bytes(content.read_all().await?);
        let message_id = trace::message_id(spool.as_bytes());
        let source = Source { ip: None, helo: None, tls: None, login: None };
        let accepted = Step::Accepted {
            by: self.policy.host_name.clone(),
            protocol: "local".to_owned(),
            source: source.clone(),
            reverse_path: envelope.reverse_path.clone(),
            recipients: envelope.recipients.iter().map(|r| r.address.clone()).collect(),
            message_id: message_id.clone(),
            size_octets: content.size_octets,
            repairs: Vec::new(),
        };
        let stored = trace::for_delivery(spool.as_bytes(), &envelope.reverse_path, b"");
        let arrival = Arrival {
            journey,
            now,
            envelope: &envelope,
            source: &source,
            spool: &spool,
            stored: &stored,
            found: None,
            is_ours: false,
            may_refuse: false,
        };
        let sorter = Sorter {
            store: &self.store,
            policy: &self.policy,
            clock: &*self.clock,
            dice: &self.dice,
            signers: &self.signers,
            rulebook: &Rulebook::default(),
        };
        // Nobody waits for an answer any more: what is rejected is reported.
        sorter.sort(&arrival, &mut plan).await?;
        let taking = Taking {
            journey,
            now,
            envelope,
            message_id,
            spool,
            stored,
            queued: Edited { header: Vec::new(), rest: 0 },
            plan,
            events: vec![Event { at: now, step: accepted }],
            author: None,
            despite_quota: false,
            beside: Beside::default(),
        };
        taking.acceptance(&self.store).await
    }

    pub(super) fn opening(&self) -> Opening<'_, N, C> {
        let nonce = self.dice.eighteen();
        Opening { net: &self.net, clock: &*self.clock, policy: &self.policy, nonce }
    }

    /// Says goodbye without making anyone wait for it.
    pub(crate) fn close(&self, connection: Connection) {
        let clock = self.clock.clone();
        tokio::spawn(async move { connection.quit(&*clock).await });
    }
}
