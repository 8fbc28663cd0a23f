//! Failure reports: one message that failed, told to the domain it claims to be from (RFC 9991, which
//! builds on RFC 6591 and RFC 5965).
//!
//! A report is `multipart/report; report-type=feedback-report` with words for people, the fields of
//! `message/feedback-report` for programs, and the message or its header.
//!
//! | module | what it does |
//! |---|---|
//! | `write` | the fields, and what of the message is shown to whom |
//! | `read` | the fields, and the one plain text form that is common |

mod read;
mod write;

use std::net::IpAddr;

use jiff::Timestamp;

pub use read::{read_failure, read_plain};
pub use write::{Disclosure, shown, write_failure};

/// One report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailureReport {
    /// `auth-failure`; other values are other kinds of feedback (RFC 5965 §7.3).
    pub feedback_type: String,
    /// Name and version of the program that made the report.
    pub user_agent: String,
    /// What failed (RFC 6591 §3.1).
    pub auth_failure: Option<AuthFailure>,
    /// Mechanisms that gave no aligned identifier; `None` when it is not told (RFC 9991 §4).
    pub identity_alignment: Option<Vec<Mechanism>>,
    /// As in the field of that name (RFC 8601), without its name.
    pub authentication_results: Vec<String>,
    /// Domain of the author.
    pub reported_domain: Option<String>,
    /// The client that brought the message.
    pub source_ip: Option<IpAddr>,
    /// Its port (RFC 6692).
    pub source_port: Option<u16>,
    /// The reverse-path without angle brackets; empty for the null reverse-path.
    pub original_mail_from: Option<String>,
    /// The recipients, without angle brackets.
    pub original_rcpt_to: Vec<String>,
    /// ENVID of the envelope, or the queue's name for it.
    pub original_envelope_id: Option<String>,
    /// When the message came.
    pub arrival_date: Option<Timestamp>,
    /// What was done with it.
    pub delivery_result: Option<DeliveryResult>,
    /// How many such messages the report stands for.
    pub incidents: Option<u64>,
    /// `d=` of the signature that failed.
    pub dkim_domain: Option<String>,
    /// `i=` of it.
    pub dkim_identity: Option<String>,
    /// `s=` of it.
    pub dkim_selector: Option<String>,
    /// The SPF record, as `txt : domain : "record"` (RFC 6591 §3.2).
    pub spf_dns: Option<String>,
    /// The message, or its header.
    pub original: Vec<u8>,
}

words! {
    /// What failed (RFC 6591 §3.3, RFC 9991 §4).
    AuthFailure {
        /// Author Domain Signing Practices.
        Adsp = "adsp",
        /// The body was changed after it was signed.
        BodyHash = "bodyhash",
        /// The key is revoked.
        Revoked = "revoked",
        /// The signature does not hold.
        Signature = "signature",
        /// SPF.
        Spf = "spf",
        /// No aligned identifier.
        Dmarc = "dmarc",
    }
}

words! {
    /// A mechanism that can give DMARC an aligned identifier.
    Mechanism {
        /// Signatures.
        Dkim = "dkim",
        /// The reverse-path.
        Spf = "spf",
    }
}

words! {
    /// What was done with the message (RFC 6591 §3.2).
    DeliveryResult {
        /// It was delivered to where mail is read.
        Delivered = "delivered",
        /// It was delivered to where spam is kept.
        Spam = "spam",
        /// Policy did something else with it.
        Policy = "policy",
        /// It was refused.
        Reject = "reject",
        /// Something else; also a word that nobody knows.
        Other = "other",
    }
}
