//! The journey of a message: what happened to it here, step by step, kept as data.
//!
//! A journey begins when this system takes responsibility for a message (submission, SMTP from
//! elsewhere, a report of our own) and ends when every recipient is delivered, bounced or
//! cancelled. Its id is given in the `250` reply and in our `Received` field, so that a sender, a
//! reader and an operator can all name it. Steps are stored as JSON: adding a field or a kind of
//! step never makes an old journey unreadable.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Address, ReversePath};

/// Names one journey: a UUIDv7, written as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JourneyId(pub Uuid);

impl JourneyId {
    /// The id for a journey that begins at `now`, from ten random bytes.
    pub fn new(now: Timestamp, random: [u8; 10]) -> JourneyId {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        JourneyId(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

impl fmt::Display for JourneyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl FromStr for JourneyId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(JourneyId)
    }
}

impl Serialize for JourneyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JourneyId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One step of a journey and when it was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub step: Step,
}

/// TLS as it was negotiated on a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsUsed {
    /// Such as `TLSv1.3`.
    pub version: String,
    /// Such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// Whether the peer's certificate was checked and fits its name.
    pub peer_verified: bool,
}

/// Who handed us the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The peer's address; `None` for what was made on this machine.
    pub ip: Option<IpAddr>,
    /// What it called itself in HELO, EHLO or LHLO.
    pub helo: Option<String>,
    /// TLS, if used.
    pub tls: Option<TlsUsed>,
    /// The account that logged in.
    pub login: Option<Address>,
}

/// An SMTP reply as the journey keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplySeen {
    /// Three digits.
    pub code: u16,
    /// RFC 3463, such as `5.1.1`.
    pub enhanced: Option<String>,
    /// The text, lines joined by a newline, cut at 1,000 octets.
    pub text: String,
}

/// What happened to one recipient in one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// The next server took responsibility.
    Delivered {
        /// Its words.
        reply: ReplySeen,
    },
    /// Try again later.
    Deferred {
        /// The remote's words, when it spoke.
        reply: Option<ReplySeen>,
        /// Why, in words.
        reason: String,
    },
    /// Never.
    Failed {
        /// The remote's words, when it spoke.
        reply: Option<ReplySeen>,
        /// Why, in words.
        reason: String,
    },
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum Step {
    /// We took responsibility for the message.
    Accepted {
        /// Our host name.
        by: String,
        /// RFC 3848 and RFC 6531: `ESMTPS`, `ESMTPSA`, `UTF8SMTPS`, `LMTP`, or `local`.
        protocol: String,
        /// Who handed it over.
        source: Source,
        /// MAIL FROM.
        reverse_path: ReversePath,
        /// RCPT TO.
        recipients: Vec<Address>,
        /// The message's own Message-ID.
        message_id: Option<String>,
        /// As received, before our trace fields.
        size_octets: u64,
        /// What submission repaired (RFC 6409 §8), such as `added Date`.
        repairs: Vec<String>,
    },
    /// An alias or catch-all turned one recipient into others.
    Expanded {
        /// As given.
        recipient: Address,
        /// Where it leads.
        to: Vec<Address>,
    },
    /// Put into a mailbox of this system.
    Deposited {
        /// As given in the envelope.
        recipient: Address,
        /// Whose mailbox.
        account: Address,
        /// Its name, such as `INBOX`.
        mailbox: String,
    },
    /// Waiting to be sent elsewhere.
    Queued {
        /// For whom.
        recipient: Address,
        /// First attempt.
        next_attempt_at: Timestamp,
    },
    /// The DNS was asked where the recipient's domain takes mail.
    Routed {
        /// The recipient's domain.
        domain: String,
        /// In the order they will be tried: `mx1.example.org (10)`.
        hosts: Vec<String>,
        /// Such as `MX`, `implicit MX`, `smarthost`, `address literal`.
        by: String,
        /// Whether DNSSEC signed the answer.
        dnssec: bool,
    },
    /// A host was tried.
    Attempted {
        /// Counted from 1.
        attempt: u32,
        /// Host name.
        host: String,
        /// Its address, once connected or tried.
        ip: Option<IpAddr>,
        /// TLS, if used.
        tls: Option<TlsUsed>,
        /// For each recipient that was tried there.
        recipients: Vec<RecipientOutcome>,
        /// From connecting to the last reply.
        took_millis: u64,
    },
    /// Waiting for another try.
    Deferred {
        /// For whom.
        recipient: Address,
        /// When.
        next_attempt_at: Timestamp,
        /// Why.
        reason: String,
    },
    /// The sender was told that it is taking long.
    DelayWarned {
        /// For whom.
        recipient: Address,
        /// The journey of that report.
        report: JourneyId,
    },
    /// Given up; the sender was told if that was possible and wanted.
    Bounced {
        /// For whom.
        recipient: Address,
        /// RFC 3463.
        status: String,
        /// Why.
        reason: String,
        /// The journey of the report; `None` when nobody is to be told.
        report: Option<JourneyId>,
    },
    /// The sender was told of a delivery, as asked (RFC 3461).
    SuccessReported {
        /// For whom.
        recipient: Address,
        /// The journey of that report.
        report: JourneyId,
    },
    /// An operator acted on the queue entry.
    Operator {
        /// For whom.
        recipient: Address,
        /// `held`, `released`, `retried`, `cancelled`.
        action: String,
    },
}

/// One recipient's outcome within an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientOutcome {
    /// For whom.
    pub recipient: Address,
    /// What happened.
    #[serde(flatten)]
    pub outcome: Outcome,
}
