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

use crate::dispatch::{Capability, Method};

macro_rules! methods {
    ($($name:literal $module:ident $run:ident),* $(,)?) => { &[$(Method {
        name: $name,
        capability: Capability::Submission,
        run: |context, arguments| Box::pin($module::$run(context, arguments)),
    }),*] };
}

pub(crate) const METHODS: &[Method] = methods! {
    "EmailSubmission/get" get run,
    "EmailSubmission/changes" changes run,
    "EmailSubmission/query" query run,
    "EmailSubmission/queryChanges" query changes,
    "EmailSubmission/set" set run,
};
