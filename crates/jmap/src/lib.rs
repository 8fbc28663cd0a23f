//! JMAP (RFC 8620) for mail (RFC 8621) on the store. Octets of requests in, octets of responses out:
//! HTTP, logins and streams belong to the caller.
//!
//! ```text
//! octets ─wire::json─▶ Request ─dispatch─▶ one method after another ─▶ Response ─▶ octets
//!                                  │ result references, creation ids
//!                                  ▼
//!                         methods (one file each) ─▶ store
//! ```
//!
//! | room | what is in it |
//! |---|---|
//! | [`wire`] | requests, responses, ids, references, patches, errors: pure |
//! | [`dispatch`] | the methods by name, and the order in which they run |
//! | [`context`] | what a method is given: store, caller, limits, time |
//! | [`caller`] | who asks, and which accounts they may see |
//! | [`session`] | the Session object |
//! | [`push`] | what a client that waits is told |
//! | [`standard`] | what `/get`, `/changes`, `/set`, `/query` have in common |
//! | `core`, `blob`, `mailbox`, `thread`, `email`, … | one file per method |
//!
//! A further method has its place: a file in the folder of its type, and a line in the folder's
//! `METHODS`. `docs/rfc.md` says what holds of each specification.

pub mod blob;
pub mod caller;
pub mod context;
mod core;
pub mod dispatch;
pub mod email;
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod mailbox;
pub mod push;
pub mod session;
mod snippet;
pub mod standard;
pub mod submission;
mod thread;
mod vacation;
pub mod wire;

pub use caller::{Account, Caller, Mailboxes};
pub use context::{Context, Limits, Outgoing, Outside, Refused};
pub use dispatch::respond;
