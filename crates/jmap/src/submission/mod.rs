//! EmailSubmissions (RFC 8621 §7): messages that were handed over for sending, or are to be later.
//!
//! | file | what it holds |
//! |---|---|
//! | `envelope` | envelopes as clients write them, and those that are made of a message; pure |
//! | `object` | a submission as a client sees it, with what its journey tells of it |
//! | `handing` | handing over what is due |
//! | `get`, `changes`, `query`, `set` | the methods |

mod changes;
pub mod envelope;
mod get;
pub mod handing;
mod object;
mod query;
mod set;

use crate::dispatch::{Method, methods};

pub(crate) const METHODS: &[Method] = methods! {
    "EmailSubmission/get" Submission get::run,
    "EmailSubmission/changes" Submission changes::run,
    "EmailSubmission/query" Submission query::run,
    "EmailSubmission/queryChanges" Submission query::changes,
    "EmailSubmission/set" Submission set::run,
};
