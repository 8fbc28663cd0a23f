//! Mailboxes (RFC 8621 §2). Names of the store are paths; here each mailbox has its own name and its parent.
//!
//! | file | what it holds |
//! |---|---|
//! | `object` | a mailbox as a client sees it |
//! | `tree` | parents and own names of paths, pure |
//! | `get`, `changes`, `query`, `query_changes`, `set` | the methods |
//! | `draft` | what a client wants of a new mailbox, or a changed one; pure |

mod changes;
mod draft;
mod get;
mod object;
mod query;
mod query_changes;
mod set;
mod tree;

use crate::dispatch::{Method, methods};

pub(crate) const METHODS: &[Method] = methods! {
    "Mailbox/get" Mail get::run,
    "Mailbox/changes" Mail changes::run,
    "Mailbox/query" Mail query::run,
    "Mailbox/queryChanges" Mail query_changes::run,
    "Mailbox/set" Mail set::run,
};
