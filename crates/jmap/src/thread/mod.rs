//! Threads (RFC 8621 §3). Which messages belong together is the store's to say.

mod changes;
mod get;

use crate::dispatch::{Capability, Method};

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "Thread/get",
        capability: Capability::Mail,
        run: |context, arguments| Box::pin(get::run(context, arguments)),
    },
    Method {
        name: "Thread/changes",
        capability: Capability::Mail,
        run: |context, arguments| Box::pin(changes::run(context, arguments)),
    },
];
