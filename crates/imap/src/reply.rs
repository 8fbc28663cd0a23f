//! How a command ends: the tagged response (RFC 9051 §7.1), and the ways not to get there.

use std::borrow::Cow;

use waxwing_store::{AppendError, MailboxError, StoreError};

use crate::connection::Lost;
use crate::wire::cursor::Bad;
use crate::wire::out::Out;

/// OK, NO or BAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Ok,
    /// Not done: it cannot be, or not now.
    No,
    /// Not understood.
    Bad,
}

/// A tagged response without its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// Which.
    pub status: Status,
    /// The response code without brackets; empty for none.
    pub code: Cow<'static, str>,
    /// For people.
    pub text: Cow<'static, str>,
}

/// How a command fails to be done.
#[derive(Debug)]
pub enum Fail {
    /// This is the answer.
    Refused(Tagged),
    /// There is nobody to answer.
    Lost(Lost),
}

/// What a command comes to.
pub type Done = Result<Tagged, Fail>;

impl Tagged {
    /// OK.
    pub fn ok(text: &'static str) -> Tagged {
        Tagged { status: Status::Ok, code: "".into(), text: text.into() }
    }

    /// NO with a code of RFC 9051 §7.1 or RFC 5530.
    pub fn no(code: &'static str, text: impl Into<Cow<'static, str>>) -> Tagged {
        Tagged { status: Status::No, code: code.into(), text: text.into() }
    }

    /// BAD.
    pub fn bad(text: &'static str) -> Tagged {
        Tagged { status: Status::Bad, code: "".into(), text: text.into() }
    }

    /// The same with a response code.
    pub fn with(mut self, code: impl Into<Cow<'static, str>>) -> Tagged {
        self.code = code.into();
        self
    }

    /// Writes the response.
    pub fn write(&self, out: &mut Out, tag: &str) {
        out.raw(tag).raw(match self.status {
            Status::Ok => " OK ",
            Status::No => " NO ",
            Status::Bad => " BAD ",
        });
        if !self.code.is_empty() {
            out.raw(b"[").raw(self.code.as_bytes()).raw(b"] ");
        }
        // Texts may quote what the store said of a name: only one line of ASCII goes out.
        let text = self.text.chars().map(|c| if matches!(c, ' '..='~') { c as u8 } else { b'?' });
        out.raw(text.collect::<Vec<u8>>()).line_end();
    }
}

impl Fail {
    /// NO.
    pub fn no(code: &'static str, text: impl Into<Cow<'static, str>>) -> Fail {
        Fail::Refused(Tagged::no(code, text))
    }

    /// BAD.
    pub fn bad(text: &'static str) -> Fail {
        Fail::Refused(Tagged::bad(text))
    }
}

impl From<Lost> for Fail {
    fn from(lost: Lost) -> Fail {
        Fail::Lost(lost)
    }
}

impl From<Bad> for Fail {
    fn from(bad: Bad) -> Fail {
        Fail::bad(bad.0)
    }
}

/// RFC 5530: temporary trouble is UNAVAILABLE; damage is CONTACTADMIN.
impl From<StoreError> for Fail {
    fn from(error: StoreError) -> Fail {
        tracing::warn!(%error, "the store failed an IMAP command");
        match error {
            StoreError::Unavailable(_) => {
                Fail::no("UNAVAILABLE", "The mail store is not answering; try again")
            }
            StoreError::NoSpace(_) => Fail::no("UNAVAILABLE", "The server's disk is full"),
            StoreError::Damaged(_) => Fail::no("CONTACTADMIN", "Stored mail is damaged"),
        }
    }
}

impl From<MailboxError> for Fail {
    fn from(error: MailboxError) -> Fail {
        match error {
            MailboxError::Exists => Fail::no("ALREADYEXISTS", "A mailbox of that name exists"),
            MailboxError::NotFound => Fail::no("NONEXISTENT", "No such mailbox"),
            MailboxError::BadName(why) => Fail::no("CANNOT", format!("Not a mailbox name: {why}")),
            MailboxError::Refused(why) => Fail::no("CANNOT", why),
            MailboxError::TooMany => Fail::no("LIMIT", "Too many mailboxes"),
            MailboxError::Store(error) => error.into(),
        }
    }
}

/// For APPEND, COPY and MOVE: a missing mailbox may be made (RFC 9051 §6.3.12, §6.4.7).
impl From<AppendError> for Fail {
    fn from(error: AppendError) -> Fail {
        match error {
            AppendError::NoMailbox => Fail::no("TRYCREATE", "No such mailbox"),
            AppendError::OverQuota => Fail::no("OVERQUOTA", "The account is full"),
            AppendError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_one_line_of_ascii() {
        let mut out = Out::default();
        Tagged::no("CANNOT", "bad \"ü\"\r\nx").write(&mut out, "a1");
        assert_eq!(out.waiting(), b"a1 NO [CANNOT] bad \"?\"??x\r\n");
        let mut out = Out::default();
        Tagged::ok("done").write(&mut out, "*");
        assert_eq!(out.waiting(), b"* OK done\r\n");
    }
}
