//! Emails (RFC 8621 §4).

use crate::dispatch::Method;

pub(crate) const METHODS: &[Method] = &[];

/// What `Email/query` can sort by (RFC 8621 §1.3.1 `emailQuerySortOptions`).
pub const SORT_OPTIONS: &[&str] = &[];
