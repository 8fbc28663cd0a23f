//! Why a message, a sender or a recipient is refused, as the SMTP reply that says so.

use waxwing_smtp::reply::Reply;
use waxwing_store::{AcceptError, StoreError};

/// A refusal. Temporary when its reply is 4xx: the client keeps the message and tries again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {}", .reply.code, .reply.text)]
pub struct Refusal {
    /// What the client is told.
    pub reply: Reply,
}

impl Refusal {
    pub(crate) fn new(
        code: u16,
        enhanced: (u8, u16, u16),
        text: impl Into<std::borrow::Cow<'static, str>>,
    ) -> Refusal {
        Refusal { reply: Reply::new(code, enhanced, text) }
    }

    /// Whether the client is to try again.
    pub fn is_temporary(&self) -> bool {
        self.reply.is_temporary()
    }

    /// RFC 5321 §6.3: in circles.
    pub(crate) fn mail_loop() -> Refusal {
        Refusal::new(554, (5, 4, 6), "this message goes round in circles: too many Received fields")
    }

    /// A recipient that was there at RCPT has gone: the next try will hear it at RCPT.
    pub(crate) fn recipient_changed() -> Refusal {
        Refusal::new(451, (4, 3, 0), "a recipient changed meanwhile, try again")
    }
}

impl From<Reply> for Refusal {
    fn from(reply: Reply) -> Refusal {
        Refusal { reply }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        tracing::error!(%error, "refusing for now, since the store cannot work");
        match error {
            StoreError::NoSpace(_) => Reply::out_of_space().into(),
            _ => Reply::local_error().into(),
        }
    }
}

impl From<AcceptError> for Refusal {
    fn from(error: AcceptError) -> Refusal {
        match error {
            AcceptError::OverQuota(_) => Reply::mailbox_full().into(),
            AcceptError::Gone(_) => Refusal::recipient_changed(),
            AcceptError::Store(error) => error.into(),
        }
    }
}
