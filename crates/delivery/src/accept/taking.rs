//! Everything that becomes true when this system takes a message, put together: octets staged,
//! deposits, queue rows, the first steps of the journey. For mail that comes in, for reports of our
//! own, and for what passes from the queue into mailboxes here.

use std::collections::HashSet;

use jiff::Timestamp;
use waxwing_message::journey::{Event, Step};
use waxwing_message::trace::Edited;
use waxwing_message::{Address, Envelope, JourneyId, Recipient};
use waxwing_store::{Acceptance, Beside, Deposit, NewQueueEntry, Spool, Store, StoreError};

use super::octets::summary;
use super::plan::Plan;
use crate::clock::later;
use crate::policy::Policy;

/// A message that is taken, and where it goes.
pub(crate) struct Taking {
    pub journey: JourneyId,
    pub now: Timestamp,
    pub envelope: Envelope,
    pub message_id: Option<String>,
    pub spool: Spool,
    /// As it stands in mailboxes.
    pub stored: Edited,
    /// As it is sent on.
    pub queued: Edited,
    pub plan: Plan,
    /// Before those of the plan.
    pub events: Vec<Event>,
    /// The author's address, folded, for those who have never seen it.
    pub author: Option<String>,
    /// Also into full mailboxes.
    pub despite_quota: bool,
    pub beside: Beside,
}

impl Taking {
    /// Stages the octets; what is to be stored in one transaction.
    pub async fn acceptance(self, store: &Store) -> Result<Acceptance, StoreError> {
        let Taking { journey, now, envelope, message_id, spool, stored, queued, .. } = self;
        let Taking { plan, mut events, author, despite_quota, mut beside, .. } = self;
        events.extend(plan.events);
        beside.seen_ids.extend(plan.seen_ids);
        beside.caused.extend(plan.caused);
        let mut deposits = Vec::with_capacity(plan.deposits.len());
        if !plan.deposits.is_empty() {
            let summary = summary(spool.as_bytes(), &stored);
            let blob = store.stage(stored.header, &spool, stored.rest).await?;
            // However many copies an account keeps, it saw the author once.
            let mut saw = HashSet::new();
            deposits.extend(plan.deposits.into_iter().map(|deposit| {
                let content = deposit.content.unwrap_or_else(|| (blob.clone(), summary.clone()));
                Deposit {
                    account: deposit.account,
                    mailbox: deposit.mailbox,
                    blob: content.0,
                    summary: content.1,
                    received_at: now,
                    flags: deposit.flags,
                    recipient: deposit.recipient,
                    despite_quota: despite_quota || deposit.despite_quota,
                    author: author.clone().filter(|_| saw.insert(deposit.account)),
                }
            }));
        }
        let queue_blob = match plan.queue.is_empty() {
            true => None,
            false => Some(store.stage(queued.header, &spool, queued.rest).await?),
        };
        let queue = plan.queue;
        Ok(Acceptance {
            journey,
            now,
            envelope,
            message_id,
            deposits,
            queue,
            queue_blob,
            events,
            beside,
        })
    }
}

/// The mailbox of this recipient is full: it waits in the queue, as for a server elsewhere.
pub(super) fn put_off(policy: &Policy, acceptance: &mut Acceptance, who: &Address) {
    let mut theirs = acceptance.deposits.iter().filter(|deposit| deposit.recipient == *who);
    let Some(full) = theirs.find(|deposit| !deposit.despite_quota) else { return };
    let (blob, account) = (full.blob.clone(), full.account);
    acceptance.deposits.retain(|deposit| deposit.recipient != *who);
    // Their rules run when it comes out of the queue: nothing of what they want is done before.
    acceptance.beside.caused.retain(|caused| caused.account != account);
    acceptance.beside.seen_ids.retain(|seen| seen.account != account);
    acceptance
        .events
        .retain(|event| !matches!(&event.step, Step::Sorted { recipient, .. } if recipient == who));
    // It goes to a mailbox here or nowhere, so that its Return-Path does no harm.
    acceptance.queue_blob.get_or_insert(blob);
    let given = acceptance.envelope.recipients.iter().find(|given| given.address == *who);
    let recipient = given.cloned().unwrap_or_else(|| Recipient::plain(who.clone()));
    let now = acceptance.now;
    let next_attempt_at = policy.schedule.next(1, now, u32::MAX / 2);
    let step = Step::Deferred {
        recipient: who.clone(),
        next_attempt_at,
        reason: "the mailbox is full".to_owned(),
    };
    acceptance.events.push(Event { at: now, step });
    acceptance.queue.push(NewQueueEntry {
        domain: who.domain().to_owned(),
        recipient,
        next_attempt_at,
        expires_at: later(now, policy.expire_after),
    });
}
