//! Threads (RFC 8621 §3). Which messages belong together is the store's to say.

mod changes;
mod get;

use crate::dispatch::{Method, methods};

pub(crate) const METHODS: &[Method] = methods! {
    "Thread/get" Mail get::run,
    "Thread/changes" Mail changes::run,
};
