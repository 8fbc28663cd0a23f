//! Methods of the core (RFC 8620 §4).

mod echo;

use crate::dispatch::{Capability, Method};

pub(crate) const METHODS: &[Method] = &[Method {
    name: "Core/echo",
    capability: Capability::Core,
    run: |_, arguments| Box::pin(async move { Ok(echo::run(arguments)) }),
}];
