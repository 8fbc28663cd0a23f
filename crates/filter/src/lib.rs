//! From evidence to a verdict, with its reasons; and Sieve, the reader's own rules.
//!
//! | module | what it holds |
//! |---|---|
//! | [`spam`] | words, reputation, absurdities; the verdict as a pure function |
//! | [`sieve`] | scripts: parsed, checked, run within bounds (RFC 5228) |
//!
//! Nothing here touches a socket, a clock or a database: what is known of senders and words is
//! passed in by those who keep it.

pub mod sieve;
pub mod spam;
