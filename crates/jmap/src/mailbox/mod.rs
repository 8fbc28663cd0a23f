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

use crate::dispatch::{Capability, Method};

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "Mailbox/get",
        capability: Capability::Mail,
        run: |context, arguments| Box::pin(get::run(context, arguments)),
    },
    Method {
        name: "Mailbox/changes",
        capability: Capability::Mail,
        run: |context, arguments| Box::pin(changes::run(context, arguments)),
    },
    Method {
        name: "Mailbox/query",
        capability: Capability::Mail,
        run: |context, arguments| Box::pin(query::run(context, arguments)),
    },
    Method {
        name: "Mailbox/queryChanges",
        capability: Capability::Mail,
        run: |context, arguments| Box::pin(query_changes::run(context, arguments)),
    },
    Method {
        name: "Mailbox/set",
        capability: Capability::Mail,
        run: |context, arguments| Box::pin(set::run(context, arguments)),
    },
];
