//! The envelope: what SMTP says about a message beside the message itself (RFC 5321 §2.3.1).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Address;

/// The reverse-path of MAIL FROM. The null reverse-path `<>` of a bounce is a variant, never an
/// empty string (RFC 5321 §4.5.5). In JSON: the address, or `null`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Option<Address>", into = "Option<Address>")]
pub enum ReversePath {
    /// `<>`: nobody is to be told of a failure.
    Null,
    /// Failures are reported here.
    Address(Address),
}

impl ReversePath {
    /// The address, or `None` for the null reverse-path.
    pub fn address(&self) -> Option<&Address> {
        match self {
            ReversePath::Null => None,
            ReversePath::Address(address) => Some(address),
        }
    }
}

impl From<Option<Address>> for ReversePath {
    fn from(address: Option<Address>) -> ReversePath {
        address.map_or(ReversePath::Null, ReversePath::Address)
    }
}

impl From<ReversePath> for Option<Address> {
    fn from(path: ReversePath) -> Option<Address> {
        match path {
            ReversePath::Null => None,
            ReversePath::Address(address) => Some(address),
        }
    }
}

/// Without angle brackets; the null reverse-path is shown as `<>`.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReversePath::Null => f.write_str("<>"),
            ReversePath::Address(address) => address.fmt(f),
        }
    }
}

/// BODY= of MAIL FROM: RFC 6152 and RFC 3030.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum BodyKind {
    /// `7BIT`, and what is meant when nothing is said.
    #[default]
    SevenBit,
    /// `8BITMIME`.
    EightBitMime,
    /// `BINARYMIME`: needs CHUNKING at every hop.
    BinaryMime,
}

/// RET= of MAIL FROM: how much of the message a failure report returns (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DsnReturn {
    /// The whole message.
    Full,
    /// Its header only.
    Headers,
}

/// NOTIFY= of RCPT TO: when to report (RFC 3461 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notify {
    /// `NEVER`.
    Never,
    /// Any of `SUCCESS`, `FAILURE`, `DELAY`.
    On {
        /// Report a delivery.
        success: bool,
        /// Report a failure.
        failure: bool,
        /// Report a delay.
        delay: bool,
    },
}

impl Notify {
    /// What applies when NOTIFY was not given: failures and delays are reported (RFC 3461 §4.1).
    pub const UNSPECIFIED: Notify = Notify::On { success: false, failure: true, delay: true };

    /// Whether a delivery is to be reported.
    pub fn on_success(self) -> bool {
        matches!(self, Notify::On { success: true, .. })
    }
    /// Whether a failure is to be reported.
    pub fn on_failure(self) -> bool {
        matches!(self, Notify::On { failure: true, .. })
    }
    /// Whether a delay is to be reported.
    pub fn on_delay(self) -> bool {
        matches!(self, Notify::On { delay: true, .. })
    }
}

/// ORCPT= of RCPT TO: the recipient as first given, xtext already decoded (RFC 3461 §4.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginalRecipient {
    /// Such as `rfc822` or `utf-8`.
    pub address_type: String,
    /// The address in that type's form.
    pub address: String,
}

/// One RCPT TO.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The forward-path. `<Postmaster>` without a domain has been given the receiving domain.
    pub address: Address,
    /// NOTIFY=, or `None` when it was not given (so that relaying does not invent it).
    pub notify: Option<Notify>,
    /// ORCPT=.
    pub original: Option<OriginalRecipient>,
}

impl Recipient {
    /// A recipient with no DSN parameters.
    pub fn plain(address: Address) -> Recipient {
        Recipient { address, notify: None, original: None }
    }

    /// NOTIFY= with its default.
    pub fn notify(&self) -> Notify {
        self.notify.unwrap_or(Notify::UNSPECIFIED)
    }
}

/// A whole envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// MAIL FROM.
    pub reverse_path: ReversePath,
    /// RCPT TO, in the order given, without repetitions.
    pub recipients: Vec<Recipient>,
    /// BODY=.
    pub body: BodyKind,
    /// SMTPUTF8 was given (RFC 6531).
    pub smtputf8: bool,
    /// REQUIRETLS was given (RFC 8689).
    pub require_tls: bool,
    /// RET=.
    pub dsn_return: Option<DsnReturn>,
    /// ENVID=, xtext already decoded (RFC 3461 §4.4).
    pub envelope_id: Option<String>,
}

impl Envelope {
    /// An envelope with no ESMTP parameters.
    pub fn plain(reverse_path: ReversePath, recipients: Vec<Address>) -> Envelope {
        Envelope {
            reverse_path,
            recipients: recipients.into_iter().map(Recipient::plain).collect(),
            body: BodyKind::default(),
            smtputf8: false,
            require_tls: false,
            dsn_return: None,
            envelope_id: None,
        }
    }
}
