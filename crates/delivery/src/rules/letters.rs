//! Messages that a script causes: redirected ones, answers and notifications, reports of rejection.
//! Each has a journey of its own and waits in the queue, also for recipients here: their rules run
//! when it comes out.

use std::sync::Arc;

use jiff::Timestamp;
use waxwing_message::dsn::{Action, RecipientReport};
use waxwing_message::journey::{Event, Source, Step};
use waxwing_message::parse::field::fields;
use waxwing_message::trace::{self, Edited, header_end};
use waxwing_message::{Address, BodyKind, Envelope, Recipient, ReversePath, submission};
use waxwing_store::{Acceptance, Beside, NewQueueEntry, Spool, StoreError};

use super::Sorter;
use super::carry::Carrier;
use crate::accept::plan;
use crate::clock::{Clock, later};
use crate::report::{self, Subject};
use crate::sign::Leaving;

/// Names the accounts whose rules sent a message on, so that it never goes in circles (RFC 5228 §10).
const REDIRECTED_FROM: &str = "X-Sieve-Redirected-From";
/// A message that was redirected so often goes no further.
const REDIRECTIONS_MAX: usize = 8;

/// Mail that a script wrote.
pub(super) struct Letter<'a> {
    pub to: &'a [Address],
    pub octets: Vec<u8>,
    pub from: &'a Address,
}

impl Letter<'_> {
    /// From the null reverse-path, signed by the domain of its author.
    pub async fn acceptance<C: Clock>(
        self,
        sorter: &Sorter<'_, C>,
        now: Timestamp,
    ) -> Result<Acceptance, StoreError> {
        let recipients = self.to.iter().cloned().map(Recipient::plain).collect();
        let mut envelope = Envelope::plain(ReversePath::Null, Vec::new());
        envelope.recipients = recipients;
        let header = &self.octets[..header_end(&self.octets)];
        envelope.smtputf8 = !header.is_ascii() || self.to.iter().any(Address::needs_smtputf8);
        if !self.octets.is_ascii() {
            envelope.body = BodyKind::EightBitMime;
        }
        let mut queued = Edited { header: Vec::new(), rest: 0 };
        if sorter.policy.sign {
            let signers = sorter.signers.of(sorter.store, sorter.clock, self.from.domain()).await?;
            queued.header = Leaving::new(&self.octets, &queued).signatures(&signers, now);
        }
        sorter.leaving(now, envelope, None, Spool::from_bytes(self.octets), queued).await
    }
}

impl<C: Clock> Sorter<'_, C> {
    /// A message on its way: everything for the queue.
    async fn leaving(
        &self,
        now: Timestamp,
        envelope: Envelope,
        sent_as: Option<ReversePath>,
        spool: Spool,
        queued: Edited,
    ) -> Result<Acceptance, StoreError> {
        let message_id = trace::message_id(spool.as_bytes());
        let accepted = Step::Accepted {
            by: self.policy.host_name.clone(),
            protocol: "local".to_owned(),
            source: Source { ip: None, helo: None, tls: None, login: None },
            reverse_path: envelope.reverse_path.clone(),
            recipients: envelope.recipients.iter().map(|to| to.address.clone()).collect(),
            message_id: message_id.clone(),
            size_octets: spool.as_bytes().len() as u64,
            repairs: Vec::new(),
        };
        let mut events = vec![Event { at: now, step: accepted }];
        let mut queue = Vec::with_capacity(envelope.recipients.len());
        for recipient in &envelope.recipients {
            let step = Step::Queued { recipient: recipient.address.clone(), next_attempt_at: now };
            events.push(Event { at: now, step });
            queue.push(NewQueueEntry {
                domain: recipient.address.domain().to_owned(),
                recipient: recipient.clone(),
                next_attempt_at: now,
                expires_at: later(now, self.policy.expire_after),
            });
        }
        let queue_blob = Some(self.store.stage(queued.header, &spool, queued.rest).await?);
        Ok(Acceptance {
            journey: self.dice.journey_id(now),
            now,
            envelope,
            message_id,
            deposits: Vec::new(),
            queue,
            queue_blob,
            events,
            beside: Beside { queue_reverse_path: sent_as, ..Beside::default() },
        })
    }
}

impl<C: Clock> Carrier<'_, C> {
    /// Why a message may not be redirected there.
    pub(super) fn goes_in_circles(&self, octets: &[u8], to: &Address) -> Option<&'static str> {
        let own = &self.account.address;
        if to == own || *to == self.deposit.recipient {
            return Some("that is this mailbox itself, so it is kept");
        }
        let marks = || fields(octets).filter(|field| field.is(REDIRECTED_FROM));
        let ours = own.to_string();
        if marks().any(|mark| mark.value.trim_ascii().eq_ignore_ascii_case(ours.as_bytes())) {
            return Some("it was redirected from here before, so it is kept");
        }
        (marks().count() >= REDIRECTIONS_MAX)
            .then_some("it was redirected too often, so it is kept")
    }

    /// The message on its way to another address, as an alias would send it.
    pub(super) async fn redirected(
        &self,
        octets: Arc<Vec<u8>>,
        to: &Address,
    ) -> Result<Acceptance, StoreError> {
        let (sorter, arrival, own) = (self.sorter, self.arrival, &self.account.address);
        let mark = format!("{REDIRECTED_FROM}: {own}\r\n");
        let mut queued = trace::edit(&octets, mark.as_bytes(), |field| field.is("Return-Path"));
        if sorter.policy.sign {
            let vouched = self.vouched(&octets, &queued).await?;
            queued.header = [vouched, queued.header].concat();
        }
        let given = arrival.envelope.recipients.iter();
        let given = given.clone().find(|given| given.address == self.deposit.recipient).cloned();
        let given = given.unwrap_or_else(|| Recipient::plain(self.deposit.recipient.clone()));
        let mut envelope = arrival.envelope.clone();
        envelope.recipients = vec![plan::forwarded(&given, to.clone())];
        // RFC 5228 §4.2 keeps the reverse-path. Deviates: at a domain of ours, as with aliases, so
        // that SPF allows us and bounces come back to us.
        let (path, domain) = (&envelope.reverse_path, own.domain());
        let sent_as = plan::rewritten_path(sorter.store, path, domain, arrival.now).await?;
        let spool = Spool::from_bytes(octets.to_vec());
        sorter.leaving(arrival.now, envelope, sent_as, spool, queued).await
    }

    /// What was found, sealed; or our own signature under what a person here wrote.
    async fn vouched(&self, octets: &[u8], queued: &Edited) -> Result<Vec<u8>, StoreError> {
        let (sorter, arrival) = (self.sorter, self.arrival);
        let leaving = Leaving::new(octets, queued);
        if let Some((results, validation)) = arrival.found {
            let domain = self.account.address.domain();
            let signers = sorter.signers.of(sorter.store, sorter.clock, domain).await?;
            return Ok(leaving.seal(&signers, results, validation, arrival.now).unwrap_or_else(
                |error| {
                    tracing::debug!(%error, "redirected without a seal");
                    Vec::new()
                },
            ));
        }
        let authors = submission::from_addresses(octets).unwrap_or_default();
        match authors.first().filter(|_| arrival.is_ours) {
            None => Ok(Vec::new()),
            Some(author) => {
                let domain = author.domain();
                let signers = sorter.signers.of(sorter.store, sorter.clock, domain).await?;
                Ok(leaving.signatures(&signers, arrival.now))
            }
        }
    }

    /// The report that a script rejects the message; or why there is none.
    pub(super) async fn report(
        &self,
        reason: &str,
    ) -> Result<Result<(Address, Acceptance), &'static str>, StoreError> {
        let (sorter, arrival) = (self.sorter, self.arrival);
        let envelope = arrival.envelope;
        let ReversePath::Address(to) = &envelope.reverse_path else {
            return Ok(Err("the message has the null reverse-path"));
        };
        let given = envelope.recipients.iter();
        let given = given.clone().find(|given| given.address == self.deposit.recipient);
        if given.is_some_and(|given| !given.notify().on_failure()) {
            return Ok(Err("it asked not to be"));
        }
        let reports = [RecipientReport {
            recipient: self.deposit.recipient.clone(),
            original: given.and_then(|given| given.original.clone()),
            action: Action::Failed,
            // RFC 3463 §3.8: refused, as its recipient wants it.
            status: "5.7.1".to_owned(),
            remote_mta: None,
            diagnostic: None,
            reason: Some(reason.to_owned()),
            last_attempt: Some(arrival.now),
            will_retry_until: None,
        }];
        let raw = arrival.spool.as_bytes();
        let subject = Subject {
            to,
            journey: arrival.journey,
            envelope_id: envelope.envelope_id.as_deref(),
            dsn_return: envelope.dsn_return,
            smtputf8: envelope.smtputf8,
            require_tls: envelope.require_tls,
            arrival: arrival.now,
            size_octets: raw.len() as u64,
        };
        let (policy, dice) = (sorter.policy, sorter.dice);
        let draft = report::draft(policy, dice, arrival.now, &subject, &reports, raw);
        let report = draft.acceptance(sorter.store, policy, sorter.signers, sorter.clock).await?;
        Ok(report.map(|report| (to.clone(), report)).ok_or("its address is nowhere"))
    }
}
