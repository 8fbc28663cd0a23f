//! Mailboxes (RFC 8621 §2).

use crate::dispatch::Method;

pub(crate) const METHODS: &[Method] = &[];
