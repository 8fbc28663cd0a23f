//! Delivery: accept → route → deposit | queue; then the queue: attempts, retries, reports.
//!
//! ```text
//!              ┌─ deposit ──────────────────────────────── mailbox
//! accept ─ plan┤
//!              └─ queue ─ lease ─ route ─ connection ─ settle ─┬─ gone: delivered
//!                   ▲                                          ├─ gone: bounced ── report
//!                   └────────────── not now ───────────────────┘
//! ```
//!
//! | module | its job |
//! |---|---|
//! | [`accept`] | checks at MAIL and RCPT; one transaction at the end of data |
//! | [`queue`] | leases, attempts, retries, settlements; the state table of an entry |
//! | [`route`] | MX, implicit and null MX, literals, smarthost: where a domain takes its mail |
//! | [`outbound`] | connections over a [`Connect`], their limits and reuse |
//! | `report` | delivery status notifications: who is told of what |
//! | [`policy`] | everything that an operator may choose |
//! | [`clock`], [`dice`] | time and randomness, passed in |
//!
//! Every decision, attempt and answer goes into the message's journey. Nothing here reads
//! configuration or opens a socket: the program gives a [`Policy`], a resolver and a [`Connect`].

pub mod accept;
pub mod clock;
pub mod dice;
pub mod outbound;
pub mod policy;
pub mod queue;
mod report;
pub mod route;

pub use accept::{Accepted, Acceptor, Entrance, Incoming, Refusal};
pub use clock::{Clock, SystemClock, VirtualClock};
pub use dice::Dice;
pub use outbound::{BoxStream, ByteStream, Connect, Hosts, Secured, Verify};
pub use policy::{Policy, Relay};
pub use queue::{Courier, Runner, Schedule};
