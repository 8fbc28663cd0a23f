//! Taking responsibility for a message: from an envelope and octets to mailbox entries, queue rows
//! and the first steps of a journey, in one transaction of the store.
//!
//! ```text
//! RCPT TO ── check_recipient ── local? exists? room? may this client relay?
//! MAIL FROM ─ check_sender ──── may this login send as that address?
//! end of data ─ accept ──────── loop? → examine, judge (other servers) → header → rules → one transaction
//! ```
//!
//! After `Ok` the message is durable and `250` may be said; after a [`Refusal`] nothing was stored
//! but the journey of a message that was judged and refused.
//! Not here: connections, and what is observed of a message ([`crate::examine`]).
//!
//! | module | its job |
//! |---|---|
//! | `plan` | from recipients to places |
//! | `verdict` | the verdict for each reader, and refusals |
//! | `rules` | readers' own scripts, between the verdict and the transaction |
//! | `header` | the header block that the message will have |
//! | `taking` | octets staged and everything put together, for reports too |

mod header;
mod octets;
pub(crate) mod plan;
mod refusal;
mod rules;
pub(crate) mod taking;
mod verdict;

use std::sync::Arc;

use jiff::Timestamp;
use waxwing_dns::Resolve;
use waxwing_mailauth::dkim::Verifier;
use waxwing_message::dsn::{Action, RecipientReport};
use waxwing_message::journey::{Event, Source, Step};
use waxwing_message::submission::{self, FromError};
use waxwing_message::{Address, Envelope, JourneyId, Recipient, ReversePath};
use waxwing_smtp::reply::Reply;
use waxwing_store::{
    AcceptError, Acceptance, AccountId, Beside, Destination, Quota, Resolution, Spool, Store,
};

use crate::clock::Clock;
use crate::dice::Dice;
use crate::examine::Examiner;
use crate::policy::Policy;
use crate::report::{self, Draft, Subject};
use crate::reports;
use crate::rules::Rulebook;
use crate::sign::Signers;
use header::Prepared;
use plan::Plan;
use taking::Taking;
use verdict::{Judged, ToTell};

pub use refusal::Refusal;

/// In what role the message comes to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance {
    /// From another server (RFC 5321): for our domains only.
    Mx,
    /// From a person who logged in (RFC 6409): to anywhere, repaired, as one of their addresses.
    Submission {
        /// Who.
        account: AccountId,
    },
    /// From a mail server of ours (RFC 2033): for our domains only.
    Lmtp,
    /// From this machine's operator: to anywhere, repaired, as anyone.
    Local,
}

impl Entrance {
    fn may_relay(self) -> bool {
        matches!(self, Entrance::Submission { .. } | Entrance::Local)
    }
}

/// A message that came in.
pub struct Incoming {
    /// In what role.
    pub entrance: Entrance,
    /// Who handed it over.
    pub source: Source,
    /// RFC 3848: `ESMTPS`, or `local`.
    pub protocol: String,
    /// Who to whom.
    pub envelope: Envelope,
    /// Its octets.
    pub spool: Spool,
    /// Fed with these octets while they came, so that signatures are verified without reading them
    /// again; `None`: they are read again.
    pub verifier: Option<Verifier>,
}

/// Responsibility taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The journey, to be named in the `250`.
    pub journey: JourneyId,
    /// Mailboxes that it is in.
    pub deposited: usize,
    /// Recipients that it waits for.
    pub queued: usize,
    /// What submission repaired.
    pub repairs: Vec<String>,
}

impl Accepted {
    /// `250 2.0.0`, naming the journey.
    pub fn reply(&self) -> Reply {
        Reply::new(250, (2, 0, 0), format!("accepted as {}", self.journey))
    }
}

/// Takes messages in.
pub struct Acceptor<R, C> {
    store: Store,
    policy: Arc<Policy>,
    clock: C,
    dice: Arc<Dice>,
    examiner: Examiner<R>,
    signers: Signers,
    rulebook: Rulebook,
}

impl<R: Resolve, C: Clock> Acceptor<R, C> {
    /// One for the whole program.
    pub fn new(
        store: Store,
        policy: Arc<Policy>,
        clock: C,
        dice: Arc<Dice>,
        resolver: R,
    ) -> Acceptor<R, C> {
        let examiner = Examiner::new(resolver);
        let (signers, rulebook) = (Signers::default(), Rulebook::default());
        Acceptor { store, policy, clock, dice, examiner, signers, rulebook }
    }

    /// At MAIL FROM: whether this sender may stand there (RFC 6409 §6.1).
    pub async fn check_sender(
        &self,
        entrance: Entrance,
        reverse_path: &ReversePath,
    ) -> Result<(), Refusal> {
        match (entrance, reverse_path) {
            // The null reverse-path is how a mail reader sends its notifications (RFC 8098 §3).
            (Entrance::Submission { account }, ReversePath::Address(address)) => {
                match self.store.may_send_as(account, address).await? {
                    true => Ok(()),
                    false => Err(Reply::sender_not_yours().into()),
                }
            }
            _ => Ok(()),
        }
    }

    /// At RCPT TO: whether there is such a recipient, with room (for so much, when MAIL said SIZE=),
    /// and this client may send there.
    pub async fn check_recipient(
        &self,
        entrance: Entrance,
        recipient: &Recipient,
        size_octets: Option<u64>,
    ) -> Result<(), Refusal> {
        let now = self.clock.now();
        match plan::resolve(&self.store, &self.policy, &recipient.address, now).await? {
            Resolution::NotLocal if entrance.may_relay() => Ok(()),
            Resolution::NotLocal => Err(Reply::relaying_denied().into()),
            Resolution::NoSuchRecipient => Err(Reply::no_such_mailbox().into()),
            Resolution::Disabled => {
                Err(Refusal::new(550, (5, 2, 1), "this mailbox takes no mail at present"))
            }
            Resolution::Leads(destinations) => {
                Self::check_room(&destinations, size_octets.unwrap_or(0))
            }
        }
    }

    /// Refused when no mailbox that it leads to can take so much (RFC 1870 §6.1 (2)); for good when
    /// none could even if it were empty.
    fn check_room(destinations: &[Destination], size_octets: u64) -> Result<(), Refusal> {
        let mut ever = false;
        for destination in destinations {
            let Destination::Account { quota: Some(quota), .. } = destination else {
                return Ok(());
            };
            let Quota { limit_octets, used_octets } = *quota;
            if used_octets < limit_octets && size_octets <= limit_octets - used_octets {
                return Ok(());
            }
            ever |= size_octets <= limit_octets;
        }
        match destinations {
            [] => Ok(()),
            _ if ever => Err(Reply::mailbox_full().into()),
            _ => {
                let text = "the message is larger than all that this mailbox may hold";
                Err(Refusal::new(552, (5, 2, 2), text))
            }
        }
    }

    /// Takes the message, whole and durable, or refuses it.
    pub async fn accept(&self, mut incoming: Incoming) -> Result<Accepted, Refusal> {
        let now = self.clock.now();
        let journey = self.dice.journey_id(now);
        if incoming.envelope.recipients.is_empty() {
            return Err(Refusal::new(554, (5, 5, 1), "no recipients"));
        }
        self.check_loop(incoming.spool.as_bytes())?;
        if let Entrance::Submission { account } = incoming.entrance {
            self.check_from(account, incoming.spool.as_bytes()).await?;
        }
        let recipients = &incoming.envelope.recipients;
        let mut plan = plan::plan(&self.store, &self.policy, recipients, now).await?;
        if !plan.nowhere.is_empty() || (!incoming.entrance.may_relay() && plan.relays(recipients)) {
            return Err(Refusal::recipient_changed());
        }
        let mut judged = self.judge(&mut incoming, &mut plan, journey, now).await?;
        let prepared = self.prepare(&incoming, &plan, judged.as_ref(), journey, now).await?;
        self.sort(&incoming, &mut plan, &mut judged, &prepared, (journey, now)).await?;
        let repairs = prepared.repairs.clone();
        let success = self.success_report(&incoming, journey, now, &plan);
        let entrance = incoming.entrance;
        let acceptance = self.acceptance(incoming, journey, now, prepared, plan, judged).await?;
        let (deposited, queued) = self.store_all(entrance, acceptance).await?;
        tracing::info!(%journey, deposited, queued, "accepted");
        if let Some(success) = success {
            self.send_success(journey, success).await;
        }
        Ok(Accepted { journey, deposited, queued, repairs })
    }

    /// Stores it; gives how many mailboxes it is in and how many recipients it waits for. A mailbox
    /// that has just become full makes its recipient wait, and not the others; by LMTP each
    /// recipient has an answer, so that the client does the waiting.
    async fn store_all(
        &self,
        entrance: Entrance,
        mut acceptance: Acceptance,
    ) -> Result<(usize, usize), Refusal> {
        loop {
            let (deposited, queued) = (acceptance.deposits.len(), acceptance.queue.len());
            if deposited + queued <= 1 || entrance == Entrance::Lmtp {
                self.store.accept(acceptance).await?;
                return Ok((deposited, queued));
            }
            match self.store.accept(acceptance.clone()).await {
                Ok(()) => return Ok((deposited, queued)),
                Err(AcceptError::OverQuota(who)) => {
                    taking::put_off(&self.policy, &mut acceptance, &who);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// LMTP: each recipient has an answer of its own (RFC 2033 §4.2). All together if that works,
    /// else one by one, in the order of the envelope.
    pub async fn accept_each(&self, incoming: Incoming) -> Vec<Result<Accepted, Refusal>> {
        let Incoming { entrance, source, protocol, envelope, spool, .. } = incoming;
        let part = |recipients: Vec<Recipient>| Incoming {
            entrance,
            source: source.clone(),
            protocol: protocol.clone(),
            envelope: Envelope { recipients, ..envelope.clone() },
            spool: spool.clone(),
            verifier: None,
        };
        let together = self.accept(part(envelope.recipients.clone())).await;
        if together.is_ok() || envelope.recipients.len() == 1 {
            return vec![together; envelope.recipients.len()];
        }
        let mut each = Vec::with_capacity(envelope.recipients.len());
        for recipient in &envelope.recipients {
            each.push(self.accept(part(vec![recipient.clone()])).await);
        }
        each
    }

    /// RFC 5321 §6.3: counts Received, all and those that we wrote.
    fn check_loop(&self, raw: &[u8]) -> Result<(), Refusal> {
        let (mut all, mut ours) = (0, 0);
        for field in waxwing_message::parse::field::fields(raw) {
            if field.is("Received") {
                all += 1;
                ours += usize::from(is_by(field.value, &self.policy.host_name));
            }
        }
        match all > self.policy.max_received || ours > self.policy.max_received_by_us {
            true => Err(Refusal::mail_loop()),
            false => Ok(()),
        }
    }

    /// An author at one of our domains must be the login's own; elsewhere is not ours to judge.
    async fn check_from(&self, account: AccountId, raw: &[u8]) -> Result<(), Refusal> {
        if !self.policy.check_from {
            return Ok(());
        }
        let addresses = match submission::from_addresses(raw) {
            Ok(addresses) => addresses,
            // It will be added.
            Err(FromError::Missing) => return Ok(()),
            Err(error) => return Err(Refusal::new(554, (5, 6, 0), error.to_string())),
        };
        for address in addresses {
            self.check_written(account, &address, "From").await?;
        }
        // RFC 5322 §3.6.2, §3.6.6: these name an author too, and mail readers show them.
        for field in waxwing_message::parse::field::fields(raw) {
            let names = ["Sender", "Resent-From", "Resent-Sender"];
            let Some(name) = names.into_iter().find(|name| field.is(name)) else { continue };
            for item in waxwing_message::parse::addresses::parse(field.value) {
                if let Some(address) = item.address() {
                    self.check_written(account, &address, name).await?;
                }
            }
        }
        Ok(())
    }

    async fn check_written(
        &self,
        account: AccountId,
        address: &Address,
        field: &str,
    ) -> Result<(), Refusal> {
        let local = self.store.domain(address.domain()).await?.is_some();
        if local && !self.store.may_send_as(account, address).await? {
            let text = format!("this login may not write {address} in {field}");
            return Err(Refusal::new(550, (5, 7, 1), text));
        }
        Ok(())
    }

    /// For recipients in mailboxes here whose sender asked for it (RFC 3461 §4.1).
    fn success_report(
        &self,
        incoming: &Incoming,
        journey: JourneyId,
        now: Timestamp,
        plan: &Plan,
    ) -> Option<Success> {
        let ReversePath::Address(to) = &incoming.envelope.reverse_path else { return None };
        let wanted = plan.delivered.iter().filter(|recipient| recipient.notify().on_success());
        let recipients: Vec<RecipientReport> = wanted
            .map(|recipient| RecipientReport {
                recipient: recipient.address.clone(),
                original: recipient.original.clone(),
                action: Action::Delivered,
                status: "2.0.0".to_owned(),
                remote_mta: None,
                diagnostic: None,
                reason: None,
                last_attempt: Some(now),
                will_retry_until: None,
            })
            .collect();
        if recipients.is_empty() {
            return None;
        }
        let raw = incoming.spool.as_bytes();
        let subject = Subject {
            to,
            journey,
            envelope_id: incoming.envelope.envelope_id.as_deref(),
            dsn_return: incoming.envelope.dsn_return,
            smtputf8: incoming.envelope.smtputf8,
            require_tls: incoming.envelope.require_tls,
            arrival: now,
            size_octets: raw.len() as u64,
        };
        let draft = report::draft(&self.policy, &self.dice, now, &subject, &recipients, raw);
        Some(Success { draft, recipients: recipients.into_iter().map(|r| r.recipient).collect() })
    }

    /// The message is safe; a report that cannot be made now is lost, which the journey shows by
    /// what it lacks.
    async fn send_success(&self, journey: JourneyId, success: Success) {
        let report = success.draft.journey;
        match success.draft.acceptance(&self.store, &self.policy, &self.signers, &self.clock).await
        {
            Ok(Some(acceptance)) => {
                if let Err(error) = self.store.accept(acceptance).await {
                    return tracing::warn!(%journey, %error, "a delivery report was lost");
                }
            }
            Ok(None) => return,
            Err(error) => return tracing::warn!(%journey, %error, "a delivery report was lost"),
        }
        let at = self.clock.now();
        let step = |recipient| Step::SuccessReported { recipient, report };
        let events =
            success.recipients.into_iter().map(|to| Event { at, step: step(to) }).collect();
        if let Err(error) = self.store.record(journey, events).await {
            tracing::warn!(%journey, %error, "a step of a journey was lost");
        }
    }

    /// Stages the octets and puts everything together.
    async fn acceptance(
        &self,
        incoming: Incoming,
        journey: JourneyId,
        now: Timestamp,
        prepared: Prepared,
        plan: Plan,
        judged: Option<Judged>,
    ) -> Result<Acceptance, Refusal> {
        let Incoming { entrance, source, protocol, envelope, spool, .. } = incoming;
        let accepted = Step::Accepted {
            by: self.policy.host_name.clone(),
            protocol,
            source,
            reverse_path: envelope.reverse_path.clone(),
            recipients: envelope.recipients.iter().map(|r| r.address.clone()).collect(),
            message_id: prepared.message_id.clone(),
            size_octets: spool.as_bytes().len() as u64,
            repairs: prepared.repairs,
        };
        let written_to = match entrance {
            Entrance::Submission { account } => {
                let to = envelope.recipients.iter();
                Some((account, to.map(|to| to.address.to_string().to_lowercase()).collect()))
            }
            _ => None,
        };
        let mut events = vec![Event { at: now, step: accepted }];
        let (mut author, mut to_tell) = (None, ToTell::default());
        if let Some(judged) = judged {
            author = judged.examination.author;
            events.extend(judged.events);
            to_tell = judged.to_tell;
        }
        let queue_reverse_path = prepared.queue_reverse_path;
        // What our own people write is no report of others.
        let may_be_report = matches!(entrance, Entrance::Mx | Entrance::Lmtp)
            && !plan.deposits.is_empty()
            && reports::may_be_report(spool.as_bytes());
        let taking = Taking {
            journey,
            now,
            envelope,
            message_id: prepared.message_id,
            spool,
            stored: prepared.stored,
            queued: prepared.queued,
            plan,
            events,
            author,
            despite_quota: false,
            beside: Beside {
                queue_reverse_path,
                observed: to_tell.observed,
                failed: to_tell.failed,
                written_to,
                may_be_report,
                ..Beside::default()
            },
        };
        Ok(taking.acceptance(&self.store).await?)
    }
}

/// A report of deliveries, and whose.
struct Success {
    draft: Draft,
    recipients: Vec<Address>,
}

impl Plan {
    /// Whether an envelope recipient itself is elsewhere. (An alias of ours may lead anywhere.)
    fn relays(&self, recipients: &[Recipient]) -> bool {
        self.queue.iter().any(|entry| {
            recipients.iter().any(|recipient| recipient.address == entry.recipient.address)
        })
    }
}

/// Whether a Received field was written by a host of this name.
fn is_by(value: &[u8], host_name: &str) -> bool {
    let mut words =
        value.split(|octet| octet.is_ascii_whitespace()).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case(b"by") {
            let by = words.next().unwrap_or_default();
            let by = by.strip_suffix(b";").unwrap_or(by);
            return by.eq_ignore_ascii_case(host_name.as_bytes());
        }
    }
    false
}
