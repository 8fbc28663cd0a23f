//! DKIM: does a domain vouch for this message? (RFC 6376, RFC 8301, RFC 8463, RFC 8616)
//!
//! ```text
//! octets ─▶ Verifier ─ header (kept) ─▶ signature ─▶ which hashes of the body are wanted
//!                    └ body (streams) ─▶ canonical ─▶ body hashes
//!          finish ─▶ keys (DNS) ─▶ record ─▶ header hash ─▶ Verification, with the reason
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | [`tags`] | tag lists, of signatures and of key records |
//! | [`signature`] | a signature field, read |
//! | [`record`], [`keys`] | a key record, read; and looked up |
//! | [`canonical`], [`body`], [`header`] | what is hashed |
//! | [`verify`] | the [`Verifier`] |
//! | [`sign`] | the [`Signer`] |
//!
//! Memory is bounded: the header is kept, up to 256 KiB, and of the body only hash states. One
//! message is never held whole. ARC ([`crate::arc`]) signs in the same way and shares all of it.

mod body;
mod canonical;
mod header;
mod keys;
mod name;
mod problem;
mod record;
mod sign;
mod signature;
mod tags;
mod verify;

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use waxwing_dns::Resolve;
use waxwing_message::journey::{Check, Finding, LookupSeen};

use crate::arc;
use crate::results::MethodResult;

pub use body::BodyHasher;
pub use canonical::Canonicalization;
pub use keys::KeyCache;
pub use problem::Problem;
pub use record::PublishedKey;
pub use sign::{Signer, SignerError};
pub(crate) use tags::{Tags, text};
pub use verify::{HEADER_OCTETS_MAX, SIGNATURES_MAX, Verifier};

pub(crate) use body::{Bodies, BodyHashes, sha256_of};
pub(crate) use canonical::relaxed_field;
pub(crate) use header::{FieldRef, HeaderBlock, append, append_own};
pub(crate) use keys::{Judged, Keys, judge};
pub(crate) use sign::{Field, names_to_sign, seconds, sha256};
pub(crate) use signature::{Kind, read_tags};
pub(crate) use verify::{Signature, verify as verify_one};

/// The result of one signature, in the words of RFC 8601 §2.7.1. A message without any has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DkimResult {
    /// The signature holds.
    Pass,
    /// The signature was checked and does not hold.
    Fail,
    /// The signature could not be processed.
    #[default]
    Neutral,
    /// The signature holds but is not accepted; never the outcome of verifying alone.
    Policy,
    /// The DNS did not say; later it may.
    TempError,
    /// The signature or its key is such that it can never be verified.
    PermError,
}

impl DkimResult {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            DkimResult::Pass => "pass",
            DkimResult::Fail => "fail",
            DkimResult::Neutral => "neutral",
            DkimResult::Policy => "policy",
            DkimResult::TempError => "temperror",
            DkimResult::PermError => "permerror",
        }
    }
}

impl std::fmt::Display for DkimResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What became of one signature.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verification {
    /// The result.
    pub result: DkimResult,
    /// Why it is not *pass*.
    pub problem: Option<Problem>,
    /// The signing domain (`d=`), in lower case and A-labels; as written when it is no domain.
    pub domain: String,
    /// The selector (`s=`), in lower case.
    pub selector: String,
    /// The identity (`i=`), or `@` and the domain when it is absent.
    pub identity: String,
    /// The algorithm (`a=`), as written.
    pub algorithm: String,
    /// The names of the signed fields (`h=`), as written but without the white space around them, with
    /// a colon between two.
    pub signed_headers: String,
    /// How much of the body is signed (`l=`).
    pub body_length: Option<u64>,
    /// Octets of the canonical body beyond that, which anybody may have added.
    pub body_unsigned_octets: u64,
    /// The domain says that it is testing (`t=y` in the key record): RFC 6376 §3.6.1 wants such a
    /// message treated as if it were not signed when the signature does not hold.
    pub testing: bool,
    /// Bits of the key; 0 when there was none.
    pub key_bits: u32,
    /// The beginning of the signature (`b=`), long enough to tell it from the message's others
    /// (RFC 6008).
    pub signature_b: String,
    /// In words: what holds, or what differs.
    pub reason: String,
    /// The questions to the DNS. None when another signature asked for the same key before.
    pub lookups: Vec<LookupSeen>,
}

impl Verification {
    /// With the problem, its result and its words.
    fn with(mut self, problem: Problem) -> Verification {
        self.result = problem.result();
        self.reason = problem.to_string();
        self.problem = Some(problem);
        self
    }

    /// As a journey keeps it.
    pub fn finding(&self) -> Finding {
        Finding {
            check: Check::Dkim,
            result: self.result.as_str().to_owned(),
            about: format!("d={} s={}", self.domain, self.selector),
            reason: self.reason.clone(),
            lookups: self.lookups.clone(),
        }
    }

    /// As Authentication-Results say it (RFC 8601 §2.7.1, RFC 6008).
    pub fn method_result(&self) -> MethodResult {
        let mut result = MethodResult::new("dkim", self.result.as_str());
        if self.problem.is_some() {
            result.reason = Some(self.reason.clone());
        }
        let properties = [
            ("d", &self.domain),
            ("i", &self.identity),
            ("s", &self.selector),
            ("a", &self.algorithm),
            ("b", &self.signature_b),
        ];
        for (name, value) in properties.into_iter().filter(|(_, value)| !value.is_empty()) {
            result = result.with("header", name, value);
        }
        result
    }
}

/// Everything that a message's signatures say.
#[derive(Debug, Clone)]
pub struct Verified {
    /// One for each DKIM-Signature field, from the top, up to [`SIGNATURES_MAX`]; when there are
    /// more, one more says so.
    pub dkim: Vec<Verification>,
    /// The authenticated received chain.
    pub arc: arc::Validation,
}

/// Verifies a message that is in memory. Lines end with CRLF, as on the wire; see [`as_sent`].
pub async fn verify(resolver: &impl Resolve, message: &[u8], now: Timestamp) -> Verified {
    let mut verifier = Verifier::new();
    verifier.write(message);
    verifier.finish(resolver, now).await
}

/// A message from a file as it was on the wire: every line end becomes CRLF. Borrows when there is
/// nothing to do.
pub fn as_sent(message: &[u8]) -> Cow<'_, [u8]> {
    let bare = |at: usize| at == 0 || message[at - 1] != b'\r';
    if !memchr::memchr_iter(b'\n', message).any(bare) {
        return Cow::Borrowed(message);
    }
    let mut sent = Vec::with_capacity(message.len() + message.len() / 32);
    let mut from = 0;
    for at in memchr::memchr_iter(b'\n', message).filter(|at| bare(*at)) {
        sent.extend_from_slice(&message[from..at]);
        sent.extend_from_slice(b"\r\n");
        from = at + 1;
    }
    sent.extend_from_slice(&message[from..]);
    Cow::Owned(sent)
}

#[cfg(test)]
mod tests {
    use super::as_sent;

    #[test]
    fn line_ends_become_crlf() {
        assert_eq!(&*as_sent(b"a\r\nb\r\n"), b"a\r\nb\r\n");
        assert_eq!(&*as_sent(b"\na\nb\r\n\nc"), b"\r\na\r\nb\r\n\r\nc");
        assert_eq!(&*as_sent(b""), b"");
    }
}
