//! Binary data (RFC 8620 §6): whose it is, reading it, copying it. Uploading and downloading is HTTP's.

mod copy;
pub mod open;
pub mod part;

use crate::dispatch::{Capability, Method};

pub(crate) const METHODS: &[Method] = &[Method {
    name: "Blob/copy",
    capability: Capability::Core,
    run: |context, arguments| Box::pin(copy::run(context, arguments)),
}];
