//! A message to be sent, what became of each of its recipients, and why a session ended.

use std::borrow::Cow;

use waxwing_message::{Envelope, journey};

use crate::reply::{EnhancedStatus, Reply};

/// One message to be sent.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// Who to whom; all recipients go to this server. At least one.
    pub envelope: Envelope,
    /// Octets of the message, as they will be supplied.
    pub size_octets: u64,
    /// The message's header has UTF-8, so that it cannot go without SMTPUTF8. (Addresses are
    /// looked at here.) When not known: the envelope's `smtputf8`.
    pub utf8_header: bool,
}

impl Transaction {
    /// A transaction that needs SMTPUTF8 if the envelope says so.
    pub fn new(envelope: Envelope, size_octets: u64) -> Transaction {
        let utf8_header = envelope.smtputf8;
        Transaction { envelope, size_octets, utf8_header }
    }
}

/// What became of one recipient, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The server has taken responsibility.
    Delivered,
    /// Not now.
    Deferred,
    /// Never.
    Failed,
    /// Not tried: the server takes fewer recipients at a time. Send again at once in another
    /// transaction, on this connection if it is still `Ready`.
    NotTried,
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// In one word.
    pub disposition: Disposition,
    /// For the DSN: the server's status, or ours when it said nothing.
    pub status: EnhancedStatus,
    /// The reply that decided it, if a reply did.
    pub reply: Option<Reply>,
    /// Why, in words that stand alone.
    pub reason: Cow<'static, str>,
}

impl From<&Outcome> for journey::Outcome {
    fn from(outcome: &Outcome) -> journey::Outcome {
        let reply = outcome.reply.as_ref().map(Reply::seen);
        let reason = outcome.reason.clone().into_owned();
        match (outcome.disposition, reply) {
            (Disposition::Delivered, Some(reply)) => journey::Outcome::Delivered { reply },
            (Disposition::Failed, reply) => journey::Outcome::Failed { reply, reason },
            (_, reply) => journey::Outcome::Deferred { reply, reason },
        }
    }
}

/// What became of a transaction: one outcome per recipient of its envelope, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Same length and order as the envelope's recipients.
    pub outcomes: Vec<Outcome>,
}

/// Why a session ended before we said QUIT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .outcome.reason)]
pub struct SessionError {
    /// At which point.
    pub stage: Stage,
    /// Temporary or permanent, status, reply and reason, as for a recipient: what a message that
    /// could not even be offered is to be told. Never `Delivered`.
    pub outcome: Box<Outcome>,
}

/// How far a session had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before or at the greeting.
    Greeting,
    /// EHLO, HELO, LHLO.
    Hello,
    /// STARTTLS or the handshake; TLS was required but is not offered.
    Tls,
    /// AUTH.
    Login,
    /// Waiting for a transaction.
    Idle,
    /// Within a transaction.
    Transaction,
    /// After QUIT.
    Quit,
}

/// The longest reply text that is kept, since one reply can decide a thousand recipients.
const MAX_KEPT_TEXT_OCTETS: usize = 1000;

impl Outcome {
    /// What a reply means where 2xx is delivery.
    pub(super) fn of_reply(reply: &Reply, reason: &'static str) -> Outcome {
        let disposition = match reply.code {
            200..300 => Disposition::Delivered,
            500.. => Disposition::Failed,
            _ => Disposition::Deferred,
        };
        let status = reply.status();
        Outcome { disposition, status, ..Outcome::deferred_by(reply, reason) }
    }

    /// Not now, whatever the reply says: the class of its status becomes 4.
    pub(super) fn deferred_by(reply: &Reply, reason: &'static str) -> Outcome {
        let mut kept = reply.clone();
        if kept.text.len() > MAX_KEPT_TEXT_OCTETS {
            let mut end = MAX_KEPT_TEXT_OCTETS;
            while !kept.text.is_char_boundary(end) {
                end -= 1;
            }
            kept.text = kept.text[..end].to_owned().into();
        }
        let status = EnhancedStatus { class: 4, ..reply.status() };
        let disposition = Disposition::Deferred;
        Outcome { disposition, status, reply: Some(kept), reason: reason.into() }
    }

    pub(super) fn deferred(
        (subject, detail): (u16, u16),
        reason: impl Into<Cow<'static, str>>,
    ) -> Outcome {
        let status = EnhancedStatus::new(4, subject, detail);
        Outcome { disposition: Disposition::Deferred, status, reply: None, reason: reason.into() }
    }

    pub(super) fn failed(
        (subject, detail): (u16, u16),
        reason: impl Into<Cow<'static, str>>,
    ) -> Outcome {
        let status = EnhancedStatus::new(5, subject, detail);
        Outcome { disposition: Disposition::Failed, status, reply: None, reason: reason.into() }
    }

    pub(super) fn not_tried(reason: &'static str) -> Outcome {
        Outcome { disposition: Disposition::NotTried, ..Outcome::deferred((5, 3), reason) }
    }
}
