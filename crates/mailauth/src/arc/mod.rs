//! ARC: what the servers before us saw, sealed (RFC 8617).
//!
//! A message that a mailing list or a forwarder changes loses its DKIM signature and its SPF. Each
//! such server may write down what it found before (ARC-Authentication-Results, AAR), sign the
//! message as it leaves (ARC-Message-Signature, AMS) and seal both and all earlier sets (ARC-Seal,
//! AS). Whoever trusts the sealers then knows what the first of them saw.
//!
//! | step of RFC 8617 §5.2 | here |
//! |---|---|
//! | 1 collect the sets; none: *none* | [`Chain::read`] |
//! | 2 the newest seal says that the chain failed: *fail* | [`Chain::validate`] |
//! | 3 the sets are whole: one of each field, 1 to N, `cv=none` first and `cv=pass` after | [`Chain::read`] |
//! | 4 the newest AMS holds | [`Chain::validate`] |
//! | 5 how far back the others hold (optional) | [`Validation::oldest_pass`], where the message was altered |
//! | 6 every seal holds: *pass* | [`Chain::validate`] |
//!
//! A chain that holds says nothing by itself: whether the sealers are believed is the caller's
//! policy.

mod chain;
mod seal;
mod validate;

use serde::{Deserialize, Serialize};
use waxwing_message::journey::{Check, Finding, LookupSeen};

use crate::results::{AuthenticationResults, MethodResult};

pub(crate) use chain::Chain;
pub use seal::{SealError, seal, seal_over};

/// Sets that a message may have (RFC 8617 §4.2.1).
pub const INSTANCES_MAX: u32 = 50;

/// What a chain is worth (RFC 8617 §4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChainStatus {
    /// There is no chain.
    #[default]
    None,
    /// It holds.
    Pass,
    /// It does not.
    Fail,
}

impl ChainStatus {
    /// As in `cv=` and in results.
    pub fn as_str(self) -> &'static str {
        match self {
            ChainStatus::None => "none",
            ChainStatus::Pass => "pass",
            ChainStatus::Fail => "fail",
        }
    }
}

impl std::fmt::Display for ChainStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who made one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealer {
    /// Counted from 1, the first to seal.
    pub instance: u32,
    /// The seal's domain (`d=`).
    pub domain: String,
    /// Its selector (`s=`).
    pub selector: String,
    /// What the chain was worth when it came there (`cv=`); `None` when it is not said.
    pub cv: Option<ChainStatus>,
}

/// What became of a message's chain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Validation {
    /// What it is worth.
    pub status: ChainStatus,
    /// The highest instance that there is.
    pub instances: u32,
    /// Who sealed, the first first. Worth something only when the chain passes.
    pub sealers: Vec<Sealer>,
    /// The lowest instance whose AMS still holds; 0 when all do (RFC 8617 §5.2, step 5). Tells who
    /// changed the message last: the sealer before. The verdict does not rest on it, and so it is
    /// `None` unless somebody may want to know: of a chain that passes, when a DKIM signature of the
    /// message was broken.
    pub oldest_pass: Option<u32>,
    /// What the last sealer saw.
    pub results_of_last: Option<AuthenticationResults>,
    /// A sealer has said that the chain failed (`cv=fail`): it has ended, and nobody seals on
    /// (RFC 8617 §5.1).
    pub ended: bool,
    /// In words: what holds, or what does not.
    pub reason: String,
    /// The questions to the DNS.
    pub lookups: Vec<LookupSeen>,
}

impl Validation {
    /// As a journey keeps it.
    pub fn finding(&self) -> Finding {
        let sealers: Vec<String> =
            self.sealers.iter().map(|s| format!("i={} d={}", s.instance, s.domain)).collect();
        Finding {
            check: Check::Arc,
            result: self.status.as_str().to_owned(),
            about: sealers.join(", "),
            reason: self.reason.clone(),
            lookups: self.lookups.clone(),
        }
    }

    /// As Authentication-Results say it (RFC 8617 §10.1).
    pub fn method_result(&self) -> MethodResult {
        let result = MethodResult::new("arc", self.status.as_str());
        match self.status {
            ChainStatus::None => result,
            ChainStatus::Pass => match self.oldest_pass {
                Some(oldest) => result.with("header", "oldest-pass", &oldest.to_string()),
                None => result,
            },
            ChainStatus::Fail => result.because(&self.reason),
        }
    }
}
