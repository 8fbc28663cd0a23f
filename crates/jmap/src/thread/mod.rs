//! Threads (RFC 8621 §3).

use crate::dispatch::Method;

pub(crate) const METHODS: &[Method] = &[];
