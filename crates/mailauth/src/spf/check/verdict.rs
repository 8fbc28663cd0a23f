//! How a check ends, and the words for it.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use waxwing_dns::{LookupError, RecordType};

use crate::spf::record::Qualifier;

/// What walking one record came to.
pub(super) enum Found {
    NoRecord,
    NoMatch,
    Match(Match),
}

/// The directive that matched, and how.
pub(super) struct Match {
    pub(super) qualifier: Qualifier,
    /// The innermost term, as written.
    pub(super) term: String,
    pub(super) how: How,
    /// The includes and redirects on the way to it, from the outside.
    pub(super) via: Vec<String>,
    /// The `exp=` of the record that decides, and the domain of that record (§6.2).
    pub(super) explanation: Option<(String, String)>,
}

/// How a term matched; put into words only when it decides.
pub(super) enum How {
    All,
    InNetwork,
    AddressOf(String),
    ExchangerOf { host: String, domain: String },
    Named(String),
    Exists(String),
}

impl Match {
    /// In words, such as `192.0.2.7 is in ip4:192.0.2.0/24 of the SPF record of example.org (by
    /// include:_spf.example.org)`.
    pub(super) fn reason(&self, ip: IpAddr, domain: &str) -> String {
        let term = &self.term;
        let record = InRecord { domain, via: &self.via };
        // Room for most, so that it need not grow piece by piece.
        let mut reason = String::with_capacity(160);
        let written = match &self.how {
            How::All if self.qualifier == Qualifier::Pass => {
                write!(reason, "{term} of {record} lets everyone send, and so {ip}")
            }
            How::All => write!(reason, "{ip} is not listed in {record}, which ends in {term}"),
            How::InNetwork => write!(reason, "{ip} is in {term} of {record}"),
            How::AddressOf(name) => {
                write!(reason, "{ip} is an address of {name}: {term} of {record}")
            }
            How::ExchangerOf { host, domain } => write!(
                reason,
                "{ip} is an address of {host}, a mail exchanger of {domain}: {term} of {record}"
            ),
            How::Named(name) => write!(reason, "{ip} is named {name}: {term} of {record}"),
            How::Exists(name) => write!(reason, "{name} exists: {term} of {record}"),
        };
        written.expect("a String takes everything");
        reason
    }
}

struct InRecord<'a> {
    domain: &'a str,
    via: &'a [String],
}

impl fmt::Display for InRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the SPF record of {}", self.domain)?;
        match self.via {
            [] => Ok(()),
            via => write!(f, " (by {})", via.join(", ")),
        }
    }
}

/// Why the check ends without a verdict.
pub(super) struct Stop {
    pub(super) temporary: bool,
    pub(super) reason: String,
}

impl Stop {
    pub(super) fn permanent(reason: String) -> Stop {
        Stop { temporary: false, reason }
    }

    pub(super) fn temporary(name: &str, record_type: RecordType, error: &LookupError) -> Stop {
        Stop {
            temporary: true,
            reason: format!("the DNS could not say {record_type} of {name}: {error}"),
        }
    }
}
