//! What is wrong with a signature, in a form to decide by and in words for people.

use jiff::Timestamp;

use super::DkimResult;

/// Why a signature is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The body is not the one that was signed.
    #[error("{}", body_words(*header_holds))]
    BodyHash {
        /// Whether the signature over the header fields, which also covers the hash of the body as
        /// it was, holds.
        header_holds: bool,
    },
    /// The body is shorter than the signature says that it was (`l=`).
    #[error("the body was cut: the signature covers {signed} octets and there are {found}")]
    BodyCut {
        /// As in `l=`.
        signed: u64,
        /// Octets of the canonical body.
        found: u64,
    },
    /// The body is the one that was signed; a signed header field or the signature itself is not.
    #[error(
        "the body is unchanged, but a signed header field was changed, added or removed, or the signature is not by this key"
    )]
    Signature,
    /// There is no key record.
    #[error("there is no key record at {name}")]
    KeyMissing {
        /// Where it was looked for.
        name: String,
    },
    /// The key was taken back (`p=` is empty).
    #[error("the domain has revoked this key")]
    KeyRevoked,
    /// The key record cannot be read.
    #[error("the key record is malformed: {what}")]
    KeySyntax {
        /// What is wrong.
        what: &'static str,
    },
    /// The key may not, or cannot, be used for this signature.
    #[error("the key is not for this signature: {what}")]
    KeyUnfit {
        /// Why.
        what: &'static str,
    },
    /// RFC 8301 §3.2.
    #[error("the RSA key is too weak: {bits} bits, and 1024 are the least that count")]
    KeyTooSmall {
        /// How many it has.
        bits: u32,
    },
    /// The signature has expired (`x=`).
    #[error("the signature expired at {at}")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// The signature is from the future (`t=`).
    #[error("the signature was made in the future, at {at}")]
    Future {
        /// When.
        at: Timestamp,
    },
    /// An algorithm that no longer counts (RFC 8301 §3.1).
    #[error("the signature is made with {name}, which is too weak to count")]
    WeakAlgorithm {
        /// As in `a=`.
        name: String,
    },
    /// An algorithm that is not known.
    #[error("the signature is made with {name:?}, which is unknown")]
    UnknownAlgorithm {
        /// As in `a=`.
        name: String,
    },
    /// The identity is not of the signing domain (`i=` and `d=`).
    #[error("the identity {identity} is not of the signing domain {domain}")]
    DomainMismatch {
        /// As in `i=`.
        identity: String,
        /// As in `d=`.
        domain: String,
    },
    /// The field that readers see is not signed.
    #[error("the From field is not signed")]
    FromNotSigned,
    /// The signature cannot be read.
    #[error("the signature is malformed: {what}")]
    Syntax {
        /// What is wrong.
        what: &'static str,
    },
    /// The DNS did not say.
    #[error("the key could not be looked up: {error}")]
    Dns {
        /// Why.
        error: String,
    },
    /// The header is longer than we keep.
    #[error("the header is too long to be verified")]
    HeaderTooLong,
    /// There are more signatures than are verified.
    #[error("only the first {verified} of {total} signatures were verified")]
    TooMany {
        /// How many were.
        verified: usize,
        /// How many there are.
        total: usize,
    },
}

fn body_words(header_holds: bool) -> &'static str {
    match header_holds {
        true => "the body was changed after signing; the signed header fields are unchanged",
        false => {
            "the body was changed after signing, and a signed header field too, or the signature is \
             not by this key"
        }
    }
}

impl Problem {
    /// The result that it leads to (RFC 8601 §2.7.1). What RFC 6376 §6.1 calls PERMFAIL is
    /// *permerror*, except where the signature was checked and does not hold: *fail*.
    pub fn result(&self) -> DkimResult {
        match self {
            Problem::BodyHash { .. } | Problem::BodyCut { .. } | Problem::Signature => {
                DkimResult::Fail
            }
            Problem::Dns { .. } => DkimResult::TempError,
            Problem::TooMany { .. } | Problem::UnknownAlgorithm { .. } | Problem::HeaderTooLong => {
                DkimResult::Neutral
            }
            _ => DkimResult::PermError,
        }
    }
}
