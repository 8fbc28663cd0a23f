//! The reports that mail domains send each other about mail that bears their names, written and
//! read.
//!
//! | module | what it holds | RFC |
//! |---|---|---|
//! | [`aggregate`] | what became of all mail under a domain's name: XML | 9990, before it 7489 appendix C |
//! | [`tls`] | how encryption went towards a domain: JSON | 8460 |
//! | [`failure`] | one message that failed: ARF | 9991, 6591, 5965 |
//! | [`mail`] | the messages that carry them: composing, and recognising incoming ones | |
//! | [`unpack`](mod@unpack) | gzip and zip, with hard bounds | 1952 |
//!
//! A report comes from a stranger and is unpacked and read by a program, so everything here has
//! bounds: octets, ratio, depth, rows, lengths. Reading forgives what reporters are known to get
//! wrong, and says with a [`ReportError`] what it does not forgive. Deliberately not here: whom to
//! report to (the DMARC and TLSRPT records), when, and where observations are kept.

macro_rules! words {
    (
        $(#[$meta:meta])*
        $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal $(| $alias:literal)*),+ $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize,
        )]
        pub enum $name {
            $($(#[$variant_meta])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every value, in the order of the specification.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// As it is written.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }

            /// Reads the word, in any case, or another that is seen in its place.
            pub fn parse(text: &str) -> Option<$name> {
                let text = text.trim();
                $(if [$word $(, $alias)*].iter().any(|word| word.eq_ignore_ascii_case(text)) {
                    return Some($name::$variant);
                })+
                None
            }
        }
    };
}

pub mod aggregate;
pub mod failure;
pub mod mail;
pub mod tls;
pub mod unpack;

use jiff::Timestamp;

pub use aggregate::{AggregateReport, Observation, aggregate, read_aggregate, write_aggregate};
pub use failure::{Disclosure, FailureReport, read_failure, write_failure};
pub use mail::{
    ComposeError, Outgoing, Received, compose_aggregate, compose_failure, compose_tls, recognise,
};
pub use tls::{TlsObservation, TlsReport, aggregate_tls, read_tls, write_tls};
pub use unpack::{Limits, gzip, unpack};

/// What every report of a period says about the one who reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportMeta {
    /// Who reports.
    pub org_name: String,
    /// Whom to ask about it: an address.
    pub email: String,
    /// Another way to ask, such as a web page; only aggregate reports have room for it.
    pub extra_contact_info: Option<String>,
    /// Name and version of this program; only aggregate reports have room for it.
    pub generator: Option<String>,
    /// Letters and digits that no other period's reports have. They become the report id of all
    /// reports of the period: an id must be unique among those to one domain (RFC 9990 §3.5.1).
    pub unique: String,
    /// Begin of the period.
    pub begin: Timestamp,
    /// End of the period.
    pub end: Timestamp,
}

/// Why a report cannot be read. The sender of the report must act, or nobody: trying again with
/// the same octets ends the same way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// More octets than are looked at, packed or unpacked.
    #[error("the report has more than {limit} octets; nothing of that size is read")]
    TooLarge {
        /// What is allowed.
        limit: usize,
    },
    /// It grows so much when it is unpacked that it must be meant to do harm.
    #[error("the report unpacks to more than {limit} times its size, as no honest one does")]
    Ratio {
        /// What is allowed.
        limit: usize,
    },
    /// Broken gzip or zip.
    #[error("the report cannot be unpacked: {0}")]
    Archive(String),
    /// A zip archive without a report, or with several files that could be one.
    #[error("the archive holds {0} files that could be the report; it should hold one")]
    Members(usize),
    /// What was unpacked is packed again.
    #[error("the report is packed inside another archive; only one layer is opened")]
    Nested,
    /// Not well-formed.
    #[error("the report is not well-formed XML near octet {offset}: {reason}")]
    Xml {
        /// Of the text, after its charset was undone.
        offset: usize,
        /// What the parser says.
        reason: String,
    },
    /// It declares a document type or uses an entity that XML itself does not define; both are ways
    /// to do harm and no report needs them.
    #[error("the report uses {0}, which no report may")]
    Entity(String),
    /// Elements inside elements beyond what reports have.
    #[error("the report nests elements deeper than {limit}")]
    TooDeep {
        /// What is allowed.
        limit: usize,
    },
    /// More rows, results or the like than are kept.
    #[error("the report has more than {limit} {what}")]
    TooMany {
        /// Such as `rows`.
        what: &'static str,
        /// What is allowed.
        limit: usize,
    },
    /// Not JSON, or not of the shape.
    #[error("the report is not the JSON of a TLS report: {0}")]
    Json(String),
    /// Something that every report has is not there.
    #[error("the report has no {0}")]
    Missing(&'static str),
    /// A value that cannot be what it stands for.
    #[error("the report says {value:?} where {field} belongs")]
    Value {
        /// Name of the element or field.
        field: &'static str,
        /// What is there, cut to a bearable length.
        value: String,
    },
    /// A message that looks like a report holds none.
    #[error("the message claims to carry a report, but no part of it is one")]
    NoReport,
}

impl ReportError {
    fn value(field: &'static str, text: &str) -> ReportError {
        let end = text.floor_char_boundary(80);
        ReportError::Value { field, value: text[..end].to_owned() }
    }
}

/// Entry points for fuzzing: octets in, no panic out, and what is read and written is read again.
#[doc(hidden)]
pub mod fuzzing {
    use super::*;

    /// An aggregate report.
    pub fn fuzz_aggregate_report(data: &[u8]) {
        let Ok(unpacked) = unpack(data, &Limits::default()) else { return };
        let Ok(report) = read_aggregate(&unpacked) else { return };
        let again = read_aggregate(&write_aggregate(&report)).expect("what we write is a report");
        assert_eq!(again.rows.len(), report.rows.len());
        assert_eq!(again.begin, report.begin);
    }

    /// A TLS report.
    pub fn fuzz_tls_report(data: &[u8]) {
        let Ok(unpacked) = unpack(data, &Limits::default()) else { return };
        let Ok(report) = read_tls(&unpacked) else { return };
        let again = read_tls(&write_tls(&report)).expect("what we write is a report");
        assert_eq!(again.policies.len(), report.policies.len());
    }

    /// A failure report, and a message.
    pub fn fuzz_failure_report(data: &[u8]) {
        let _ = recognise(&waxwing_message::Message::parse(data));
        let _ = failure::read_plain(&String::from_utf8_lossy(data));
        let Ok(report) = read_failure(data, data) else { return };
        let disclosure = Disclosure { body: true, redact: Some(b"key") };
        let written = write_failure(&report, &disclosure);
        let again = read_failure(&written, &failure::shown(&report.original, &disclosure));
        assert_eq!(again.expect("what we write is a report").source_ip, report.source_ip);
    }
}
