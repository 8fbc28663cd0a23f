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

/// The policy that a connection to a host had to keep to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsPolicySeen {
    /// Which one.
    pub policy: TlsPolicyKind,
    /// Whether the host was authenticated as it demands.
    pub verified: bool,
    /// What is to be said of it, in words: `testing`, unusable records, a wish of the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The policies that a domain can have about TLS to its hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsPolicyKind {
    /// RFC 7672.
    Dane,
    /// RFC 8461.
    MtaSts,
    /// The domain has none: TLS is used when it is offered (RFC 7435).
    None,
    /// A policy that this version does not know.
    #[serde(other)]
    Other,
}

impl TlsPolicyKind {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            TlsPolicyKind::Dane => "DANE",
            TlsPolicyKind::MtaSts => "MTA-STS",
            TlsPolicyKind::None => "none",
            TlsPolicyKind::Other => "another",
        }
    }
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
    /// What was observed about where the message comes from, before anything was decided.
    Examined {
        /// In the order of the checks.
        findings: Vec<Finding>,
        /// By what the sender is known from now on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        identities: Vec<KnownBy>,
        /// From the first question to the last answer.
        took_millis: u64,
    },
    /// What followed from the findings, for all recipients or for one.
    Judged {
        /// For whom; `None` when it holds for all.
        recipient: Option<Address>,
        /// What is to be done.
        verdict: Verdict,
        /// The sum of the reasons' weights.
        weight: i32,
        /// The weightiest first.
        reasons: Vec<Reason>,
        /// What the operator or the reader chose that goes before the reasons, in words.
        overridden: Option<String>,
    },
    /// Responsibility was not taken: the client was told so.
    Refused {
        /// Our host name.
        by: String,
        /// As in [`Step::Accepted`].
        protocol: String,
        /// Who wanted to hand it over.
        source: Source,
        /// MAIL FROM.
        reverse_path: ReversePath,
        /// RCPT TO.
        recipients: Vec<Address>,
        /// The message's own Message-ID.
        message_id: Option<String>,
        /// As received.
        size_octets: u64,
        /// 4xx: try again; 5xx: never.
        code: u16,
        /// What the client was told.
        text: String,
    },
    /// An alias or catch-all turned one recipient into others.
    Expanded {
        /// As given.
        recipient: Address,
        /// Where it leads.
        to: Vec<Address>,
    },
    /// A reader's own rules ran on the message.
    Sorted {
        /// As given in the envelope.
        recipient: Address,
        /// Whose rules.
        account: Address,
        /// The name of the script.
        script: String,
        /// What it did, in order, in words: `rule 3 (line 12): fileinto "Lists"`.
        trace: Vec<String>,
        /// Why it did not run to its end; the message is then kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// Messages that it caused: redirected ones, answers, reports.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        caused: Vec<CausedMessage>,
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
        /// The domain's policy about TLS; `None` in older journeys and where nothing was sent over
        /// the network.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tls_policy: Option<TlsPolicySeen>,
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
    /// The message carries a report about one of our domains, which was read and kept.
    ReportRead {
        /// `DMARC`, `TLS`, `DMARC failure`.
        kind: String,
        /// Ours.
        domain: String,
        /// Who reports, in their own words.
        organization: String,
        /// What it says, in words.
        summary: String,
    },
    /// The message says that it carries a report, and the report was not kept.
    ReportNotRead {
        /// Why, in words.
        reason: String,
    },
    /// An operator acted on the queue entry.
    Operator {
        /// For whom.
        recipient: Address,
        /// `held`, `released`, `retried`, `cancelled`.
        action: String,
    },
}

/// A message that another one caused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CausedMessage {
    /// What it is: `redirect`, `vacation`, `notify`, `reject`.
    pub what: String,
    /// For whom.
    pub to: Vec<Address>,
    /// Its own journey.
    pub journey: JourneyId,
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

/// One thing that was observed, with its reason and what it took to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which check.
    pub check: Check,
    /// In the RFC's own word where there is one: `pass`, `softfail`, `temperror`.
    pub result: String,
    /// What was examined: an address, a domain, `d=example.org s=2024`, an IP address.
    pub about: String,
    /// Why, in words for people: which term matched, which header fails, which key is missing.
    pub reason: String,
    /// The questions to the DNS, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lookups: Vec<LookupSeen>,
}

/// One question to the DNS and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupSeen {
    /// What was asked for.
    pub name: String,
    /// `TXT`, `MX`.
    pub record_type: String,
    /// The records in their text form, or why there are none; cut at 500 octets.
    pub answer: String,
    /// Whether DNSSEC signed it.
    pub dnssec: bool,
}

/// The checks that findings and reasons come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// RFC 7208.
    Spf,
    /// RFC 6376.
    Dkim,
    /// RFC 9989.
    Dmarc,
    /// RFC 8617.
    Arc,
    /// What the client called itself.
    Helo,
    /// The name of the client's address.
    ReverseDns,
    /// DNS blocklists.
    Blocklist,
    /// The header's From field.
    From,
    /// What is known of the sender.
    Reputation,
    /// The first message of this sender to this reader.
    FirstContact,
    /// The words of the message.
    Words,
    /// What the operator or the reader wants.
    Policy,
    /// A check that this version does not know.
    #[serde(other)]
    Other,
}

impl Check {
    /// As people read it: `SPF`, `reverse DNS`.
    pub fn name(self) -> &'static str {
        match self {
            Check::Spf => "SPF",
            Check::Dkim => "DKIM",
            Check::Dmarc => "DMARC",
            Check::Arc => "ARC",
            Check::Helo => "HELO",
            Check::ReverseDns => "reverse DNS",
            Check::Blocklist => "blocklist",
            Check::From => "From",
            Check::Reputation => "reputation",
            Check::FirstContact => "first contact",
            Check::Words => "words",
            Check::Policy => "policy",
            Check::Other => "other",
        }
    }
}

/// One reason for a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Which check it comes from.
    pub check: Check,
    /// Points: above zero it speaks for spam, below zero for the sender. A hundred is certainty.
    pub weight: i32,
    /// In words for people.
    pub text: String,
}

/// What is done with a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Verdict {
    /// Into the mailbox that it is for.
    Accept,
    /// Into the mailbox for spam: the end of every doubt.
    SpamFolder,
    /// Not now: the client is to try again (`451 4.7.1`, greylisting).
    Defer {
        /// What the client is told.
        text: String,
    },
    /// Not at all (`550`).
    Refuse {
        /// RFC 3463 and RFC 7372: `5.7.1`, `5.7.26`.
        status: String,
        /// What the client is told.
        text: String,
    },
}

/// One name that a sender is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownBy {
    /// `address`, `domain`, `organizational_domain`, `dkim_domain`, `spf_domain`, `ip`, `network`.
    pub kind: String,
    /// The name.
    pub name: String,
}
