//! Binary data (RFC 8620 §6): whose it is, reading it, copying it. Uploading and downloading is HTTP's.

mod copy;
pub mod open;
pub mod part;

use crate::dispatch::{Method, methods};

pub(crate) const METHODS: &[Method] = methods! {
    "Blob/copy" Core copy::run,
};
