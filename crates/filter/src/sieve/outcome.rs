//! What a run decided: actions, the implicit keep, changed messages, and how it came to be.

use std::fmt;

use serde::{Deserialize, Serialize};
use waxwing_message::Address;

use super::DuplicateId;

/// All that came of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// In order of the script, without repetitions.
    pub actions: Vec<Action>,
    /// The implicit keep, where it takes effect (RFC 5228 §2.10.2): to be done beside `actions`.
    pub keep: Option<Keep>,
    /// The message as changed by `addheader`, `deleteheader`, `replace` and `enclose`; actions refer to
    /// them by index.
    pub versions: Vec<Version>,
    /// What `duplicate` is to remember, once the message is delivered.
    pub seen: Vec<DuplicateId>,
    /// What was done, and why, in order; for the journey.
    pub trace: Vec<TraceStep>,
    /// Why the script did not run to its end. `actions` are then empty and `keep` is set (RFC 5228
    /// §2.10.6).
    pub error: Option<RunError>,
    /// Out of [`super::Limits::steps`].
    pub steps_used: u64,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Into the inbox.
    Keep(Keep),
    /// Into a mailbox.
    FileInto(FileInto),
    /// To another address, with the envelope sender as it was (RFC 5228 §4.2).
    Redirect(Redirect),
    /// Nowhere: the sender is not told.
    Discard,
    /// Back to the sender.
    Reject(Reject),
    /// An answer to the sender, who has got none for long enough.
    Vacation(Box<Vacation>),
    /// Word to somebody.
    Notify(Box<Notification>),
}

/// Into the inbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keep {
    /// IMAP flags and keywords to set.
    pub flags: Vec<String>,
    /// Index into [`Outcome::versions`]; `None` for the message as it came.
    pub version: Option<usize>,
}

/// Into a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInto {
    /// Its name, in UTF-8.
    pub mailbox: String,
    /// Whether to create it, if need be (RFC 5490 §3.2).
    pub create: bool,
    /// Rather into the mailbox of this special use, if there is one (RFC 8579 §3).
    pub special_use: Option<String>,
    /// IMAP flags and keywords to set.
    pub flags: Vec<String>,
    /// Whether `:copy` was given, which leaves the implicit keep alone (RFC 3894).
    pub copy: bool,
    /// Index into [`Outcome::versions`]; `None` for the message as it came.
    pub version: Option<usize>,
}

/// To another address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// Where to.
    pub address: Address,
    /// Whether `:copy` was given (RFC 3894).
    pub copy: bool,
    /// Index into [`Outcome::versions`]; `None` for the message as it came.
    pub version: Option<usize>,
}

/// Back to the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Why, in the owner's words.
    pub reason: String,
    /// `ereject`: rather by refusing than by a report (RFC 5429 §2.1).
    pub ereject: bool,
}

/// Where a copy of generated mail is filed: RFC 8580.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fcc {
    /// The mailbox.
    pub mailbox: String,
    /// Whether to create it, if need be.
    pub create: bool,
    /// Rather into the mailbox of this special use, if there is one.
    pub special_use: Option<String>,
    /// IMAP flags and keywords to set.
    pub flags: Vec<String>,
}

/// An answer: RFC 5230.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vacation {
    /// To whom: the envelope sender.
    pub to: Address,
    /// Under this handle it is remembered that `to` was answered (RFC 5230 §4.7).
    pub handle: String,
    /// For so long nobody is answered again.
    pub seconds: u64,
    /// What to send. Its envelope sender is null (RFC 5230 §5.1).
    pub reply: Reply,
    /// Where a copy is filed.
    pub fcc: Option<Fcc>,
}

/// A message to send, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// `From`, as an address.
    pub from: Address,
    /// `Subject`.
    pub subject: String,
    /// The octets.
    pub message: Vec<u8>,
}

/// Word to somebody: RFC 5435.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The URI, whose scheme is the method.
    pub method: String,
    /// From whom, if that was said.
    pub from: Option<String>,
    /// 1 (high) to 3.
    pub importance: u8,
    /// As given.
    pub options: Vec<String>,
    /// What to say, if that was said.
    pub text: Option<String>,
    /// For `mailto` (RFC 5436): to whom, and what to send.
    pub mail: Option<(Vec<Address>, Reply)>,
    /// Where a copy is filed.
    pub fcc: Option<Fcc>,
}

/// The message as a script changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The header, with the empty line that ends it.
    pub header: Vec<u8>,
    /// The body; `None` when it is that of the message as it came.
    pub body: Option<Vec<u8>>,
}

impl Version {
    /// The whole, given the message as it came.
    pub fn concat(&self, original: &[u8], original_body: usize) -> Vec<u8> {
        let body = match &self.body {
            Some(body) => body.as_slice(),
            None => original.get(original_body..).unwrap_or_default(),
        };
        [self.header.as_slice(), body].concat()
    }
}

/// One thing a script did. Shown as `rule 3 (line 12): fileinto "Lists"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceStep {
    /// Which command of the script's outermost block, counted from 1; that of the first script where
    /// scripts are included.
    pub rule: u32,
    /// Counted from 1.
    pub line: u32,
    /// What was done.
    pub text: String,
}

impl fmt::Display for TraceStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} (line {}): {}", self.rule, self.line, self.text)
    }
}

/// Why a script did not run to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct RunError {
    /// Counted from 1.
    pub line: u32,
    /// What happened.
    pub kind: RunErrorKind,
}

/// What can happen to a script that runs. All are for its owner to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunErrorKind {
    /// One of [`super::Limits`].
    #[error("the script needs more {0} than are allowed: make it simpler")]
    Limit(&'static str),
    /// Two actions that exclude each other.
    #[error("{0} and {1} exclude each other: take one of the two away")]
    Conflict(&'static str, &'static str),
    /// A value that a variable gave is not what is needed there.
    #[error("{0}")]
    Value(String),
    /// `include` of a script that is not there, or that includes itself.
    #[error("{0}")]
    Include(String),
    /// The `error` command (RFC 5463 §5).
    #[error("the script says: {0}")]
    Said(String),
}
