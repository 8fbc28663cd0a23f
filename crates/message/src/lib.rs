//! Mail as data: addresses, envelopes, messages, and the record of a message's journey.
//!
//! Everything here is pure. No socket, clock, randomness or database is touched; time and random
//! bytes are passed in.
//!
//! | module | what it holds |
//! |---|---|
//! | [`address`] | an `addr-spec` as SMTP carries it |
//! | [`envelope`] | reverse-path, recipients and their ESMTP parameters |
//! | [`parse`] | RFC 5322 and MIME: the tree of parts, with offsets and defects |
//! | [`summary`] | what listings show, computed once at delivery and stored ready |
//! | [`keys`] | what messages are sorted, threaded and searched by |
//! | [`trace`] | `Received`, `Return-Path` and other edits of a header block in transit |
//! | [`submission`] | what a submission server repairs (RFC 6409 §8) |
//! | [`compose`] | building messages |
//! | [`dsn`] | delivery status notifications (RFC 3464) |
//! | [`journey`] | what happened to a message, step by step |

pub mod address;
pub mod compose;
pub mod dsn;
pub mod envelope;
pub mod journey;
pub mod keys;
pub mod parse;
pub mod submission;
pub mod summary;
pub mod trace;

pub use address::{Address, AddressError};
pub use envelope::{
    BodyKind, DsnReturn, Envelope, Notify, OriginalRecipient, Recipient, ReversePath,
};
pub use journey::JourneyId;
pub use parse::Message;
pub use summary::Summary;
