//! The queue: who works on which entry when, and what becomes of it.
//!
//! # An entry
//!
//! One row of the store for each recipient that is not done. What ends it is recorded in the journey
//! in the transaction that removes it.
//!
//! | state | event | next | recorded |
//! |---|---|---|---|
//! | – | accepted ([`crate::accept`]) or reported ([`crate::report`]) | waiting, due at once | Queued |
//! | waiting | due, and a node leases it | leased | – |
//! | waiting | an operator holds, cancels | held, gone | Operator |
//! | leased | the next server takes it | gone | Attempted (Delivered), perhaps SuccessReported |
//! | leased | never: refused with 5xx, no such domain, null MX, loop | gone | Attempted (Failed), Bounced |
//! | leased | not now, before it expires | waiting, due by the [`Schedule`] | Attempted (Deferred), Deferred, perhaps DelayWarned |
//! | leased | not now, and it has expired | gone | Attempted, Bounced (5.4.7) |
//! | leased | the node dies, or loses its lease | waiting, due at once | – |
//! | held | an operator releases, cancels | waiting, gone | Operator |
//!
//! Entries of one message for one domain are leased together and travel in one transaction.
//!
//! # Nothing lost, nothing twice
//!
//! A lease is renewed while its attempt goes on. An outcome is stored whole or not at all: when the
//! store is away after the remote's `250`, settling is repeated until it works or the lease is lost.
//! Only then, or when the program dies between the remote's `250` and the settlement, can a message
//! be sent twice (RFC 5321 §4.2.5 knows no remedy).

mod courier;
mod outcome;
mod runner;
mod schedule;
mod sending;
mod settle;

pub use courier::Courier;
pub use runner::Runner;
pub use schedule::Schedule;
