//! What became of one recipient in one attempt.

use waxwing_message::journey::{self, ReplySeen};
use waxwing_smtp::client::{self, Disposition};
use waxwing_smtp::reply::{EnhancedStatus, Reply};

use crate::route::RouteError;

/// What became of one recipient.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub fate: Fate,
    /// For the report (RFC 3464 §2.3.4).
    pub status: EnhancedStatus,
    /// What a server said.
    pub reply: Option<ReplySeen>,
    /// In words that stand alone.
    pub reason: String,
    /// The host that said it.
    pub remote: Option<String>,
}

/// In one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Somebody else is responsible now.
    Delivered(NextHop),
    /// Not now.
    Deferred,
    /// Never.
    Failed,
}

/// Who is responsible now, which decides who reports a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextHop {
    /// A mailbox of ours: delivered.
    Mailbox,
    /// A server that knows DSN: it will report (RFC 3461 §5.2.1).
    Reports,
    /// A server that does not: we report `relayed` (RFC 3461 §5.2.2).
    Silent,
}

impl Outcome {
    /// Our own finding.
    pub fn found(fate: Fate, status: (u8, u16, u16), reason: impl Into<String>) -> Outcome {
        let status = EnhancedStatus::new(status.0, status.1, status.2);
        Outcome { fate, status, reply: None, reason: reason.into(), remote: None }
    }

    /// A server's.
    pub fn told(outcome: &client::Outcome, host: &str, dsn: bool) -> Outcome {
        let fate = match outcome.disposition {
            Disposition::Delivered if dsn => Fate::Delivered(NextHop::Reports),
            Disposition::Delivered => Fate::Delivered(NextHop::Silent),
            Disposition::Deferred | Disposition::NotTried => Fate::Deferred,
            Disposition::Failed => Fate::Failed,
        };
        Outcome {
            fate,
            status: outcome.status,
            reply: outcome.reply.as_ref().map(Reply::seen),
            reason: outcome.reason.clone().into_owned(),
            remote: Some(host.to_owned()),
        }
    }

    /// Why, with the server's words.
    pub fn explanation(&self) -> String {
        match (&self.reply, &self.remote) {
            (Some(reply), Some(host)) => {
                let enhanced = reply.enhanced.as_deref().unwrap_or_default();
                let space = if enhanced.is_empty() { "" } else { " " };
                format!("{host} said: {} {enhanced}{space}{}", reply.code, reply.text)
            }
            (None, Some(host)) => format!("{host}: {}", self.reason),
            _ => self.reason.clone(),
        }
    }

    /// As the journey keeps it.
    pub fn for_journey(&self) -> journey::Outcome {
        let (reply, reason) = (self.reply.clone(), self.reason.clone());
        match (self.fate, reply) {
            (Fate::Delivered(_), Some(reply)) => journey::Outcome::Delivered { reply },
            (Fate::Failed, reply) => journey::Outcome::Failed { reply, reason },
            (_, reply) => journey::Outcome::Deferred { reply, reason },
        }
    }
}

impl From<&RouteError> for Outcome {
    fn from(error: &RouteError) -> Outcome {
        let fate = if error.is_temporary() { Fate::Deferred } else { Fate::Failed };
        let status = error.status();
        Outcome { fate, status, reply: None, reason: error.to_string(), remote: None }
    }
}
