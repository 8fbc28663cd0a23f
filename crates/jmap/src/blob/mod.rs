//! Binary data (RFC 8620 §6).

use crate::dispatch::Method;

pub(crate) const METHODS: &[Method] = &[];
