//! Reports to senders (RFC 3461, RFC 3464): who is told, of what, with how much of the message.
//!
//! | what happened | told when | how |
//! |---|---|---|
//! | failed | NOTIFY has FAILURE, or nothing was said | `failed`; the message if RET=FULL (or small), else its header |
//! | waiting for long | NOTIFY has DELAY, or nothing was said | `delayed`, once; header |
//! | in a mailbox of ours | NOTIFY has SUCCESS | `delivered`; header |
//! | given to a server without DSN | NOTIFY has SUCCESS | `relayed`; header (RFC 3461 §5.2.2) |
//!
//! Never in answer to the null reverse-path: a report that fails ends in its journey. A report goes
//! from the null reverse-path, has a journey of its own, and is put into a mailbox or the queue in
//! the transaction that settles what it reports.

use jiff::Timestamp;
use waxwing_message::compose::Mailbox;
use waxwing_message::dsn::{Action, RecipientReport, Report, Returned};
use waxwing_message::journey::{Event, Source, Step};
use waxwing_message::trace::{self, Edited};
use waxwing_message::{
    Address, BodyKind, DsnReturn, Envelope, JourneyId, Recipient, ReversePath, submission,
};
use waxwing_store::{Acceptance, Beside, Spool, Store, StoreError};

use crate::accept::plan;
use crate::accept::taking::Taking;
use crate::clock::Clock;
use crate::dice::Dice;
use crate::policy::Policy;
use crate::reports;
use crate::sign::{Leaving, Signers};

/// Without RET a failed message goes back whole up to this size.
const RETURN_WHOLE_OCTETS: u64 = 64 * 1024;
/// Beyond this size only the header goes back, even with RET=FULL: a report is not to be what fills
/// the sender's mailbox.
const RETURN_NEVER_WHOLE_OCTETS: u64 = 10 * 1024 * 1024;
/// Enough of a message to have its header.
pub(crate) const HEADER_OCTETS: u64 = 256 * 1024;

/// The message that is reported on.
pub(crate) struct Subject<'a> {
    /// Its sender; reports to nobody are never made.
    pub to: &'a Address,
    pub journey: JourneyId,
    pub envelope_id: Option<&'a str>,
    pub dsn_return: Option<DsnReturn>,
    pub smtputf8: bool,
    /// RFC 8689 §5: its reports are as careful as it was.
    pub require_tls: bool,
    pub arrival: Timestamp,
    pub size_octets: u64,
}

/// A report that is written and has its journey, to be accepted as often as it takes.
#[derive(Clone)]
pub(crate) struct Draft {
    pub journey: JourneyId,
    to: Address,
    octets: Vec<u8>,
    message_id: String,
    /// The domain whose keys sign it.
    signed_by: String,
    smtputf8: bool,
    require_tls: bool,
    at: Timestamp,
}

/// How many octets of the message a report with these actions wants to see.
pub(crate) fn octets_wanted(subject: &Subject<'_>, actions: &[Action]) -> u64 {
    if returns_whole(subject, actions) { subject.size_octets } else { HEADER_OCTETS }
}

/// RFC 3461 §4.3: RET speaks of failures only; other reports carry the header.
fn returns_whole(subject: &Subject<'_>, actions: &[Action]) -> bool {
    let most = match subject.dsn_return {
        // RFC 8689 §5: as if RET=HDRS had been given.
        _ if subject.require_tls => return false,
        Some(DsnReturn::Full) => RETURN_NEVER_WHOLE_OCTETS,
        Some(DsnReturn::Headers) => return false,
        None => RETURN_WHOLE_OCTETS,
    };
    actions.contains(&Action::Failed) && subject.size_octets <= most
}

/// Writes a report. `original` is the message, or its first octets with the whole header.
pub(crate) fn draft(
    policy: &Policy,
    dice: &Dice,
    now: Timestamp,
    subject: &Subject<'_>,
    recipients: &[RecipientReport],
    original: &[u8],
) -> Draft {
    let journey = dice.journey_id(now);
    let message_id = submission::new_message_id(dice.sixteen(), &policy.host_name);
    let actions: Vec<Action> = recipients.iter().map(|recipient| recipient.action).collect();
    let whole = returns_whole(subject, &actions) && original.len() as u64 >= subject.size_octets;
    let reported = subject.journey.to_string();
    let report = Report {
        reporting_mta: &policy.host_name,
        from: &sender(policy),
        to: subject.to,
        at: now,
        message_id: &message_id,
        envelope_id: subject.envelope_id,
        arrival: Some(subject.arrival),
        journey: Some(&reported),
        recipients,
        returned: if whole { Returned::Full(original) } else { Returned::Header(original) },
        smtputf8: subject.smtputf8,
    };
    let octets = report.to_bytes(dice.sixteen());
    let to = subject.to.clone();
    let (smtputf8, require_tls) = (subject.smtputf8, subject.require_tls);
    let signed_by = policy.host_name.clone();
    Draft { journey, to, octets, message_id, signed_by, smtputf8, require_tls, at: now }
}

/// Whom reports are from, for people; the envelope says nobody.
fn sender(policy: &Policy) -> Mailbox {
    let address = Address::new("mailer-daemon", &policy.host_name);
    let address = address.unwrap_or_else(|_| {
        // A host name that is no domain, as tests and demonstrations may have.
        Address::new("mailer-daemon", "localhost").expect("a good address")
    });
    Mailbox::named("Mail Delivery", address)
}

impl Draft {
    /// Another message of our own that nobody answers, to be signed by a domain of ours.
    pub fn of_our_own(
        journey: JourneyId,
        to: Address,
        octets: Vec<u8>,
        message_id: String,
        signed_by: String,
        at: Timestamp,
    ) -> Draft {
        let smtputf8 = to.needs_smtputf8();
        Draft { journey, to, octets, message_id, signed_by, smtputf8, require_tls: false, at }
    }

    /// The report as a message to be accepted. `None` when its addressee is nowhere (any more).
    pub async fn acceptance<C: Clock>(
        &self,
        store: &Store,
        policy: &Policy,
        signers: &Signers,
        clock: &C,
    ) -> Result<Option<Acceptance>, StoreError> {
        let now = self.at;
        let mut envelope = Envelope::plain(ReversePath::Null, vec![self.to.clone()]);
        envelope.smtputf8 = self.smtputf8;
        envelope.require_tls = self.require_tls;
        if !self.octets.is_ascii() {
            envelope.body = BodyKind::EightBitMime;
        }
        // RFC 3461 §4.1 and §6.2: nobody is told what becomes of a report, so nothing is asked for.
        let recipients = [Recipient::plain(self.to.clone())];
        let plan = plan::plan(store, policy, &recipients, now).await?;
        if plan.deposits.is_empty() && plan.queue.is_empty() {
            return Ok(None);
        }
        let mut queued = Edited { header: Vec::new(), rest: 0 };
        if !plan.queue.is_empty() && policy.sign {
            let signers = signers.of(store, clock, &self.signed_by).await?;
            queued.header = Leaving::new(&self.octets, &queued).signatures(&signers, now);
        }
        let source = Source { ip: None, helo: None, tls: None, login: None };
        let accepted = Step::Accepted {
            by: policy.host_name.clone(),
            protocol: "local".to_owned(),
            source,
            reverse_path: ReversePath::Null,
            recipients: vec![self.to.clone()],
            message_id: Some(self.message_id.clone()),
            size_octets: self.octets.len() as u64,
            repairs: Vec::new(),
        };
        let taking = Taking {
            journey: self.journey,
            now,
            envelope,
            message_id: Some(self.message_id.clone()),
            spool: Spool::from_bytes(self.octets.clone()),
            stored: Edited { header: trace::return_path_field(&ReversePath::Null), rest: 0 },
            queued,
            plan,
            events: vec![Event { at: now, step: accepted }],
            author: None,
            // Its size is bounded, and a sender must hear of what is lost.
            despite_quota: true,
            beside: Beside {
                may_be_report: reports::may_be_report(&self.octets),
                ..Beside::default()
            },
        };
        taking.acceptance(store).await.map(Some)
    }
}
