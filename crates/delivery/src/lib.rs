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
//! | `examine` | what is observed of mail from elsewhere, and what each reader makes of it |
//! | [`keys`] | signing keys of our domains: made, shown in the DNS, replaced |
//! | [`learn`] | words and senders, from what readers judge |
//! | `sign` | DKIM signatures and ARC seals of what leaves |
//! | `rules` | readers' own Sieve scripts, run and carried out |
//! | `report` | delivery status notifications: who is told of what |
//! | [`reports`] | the daily reports between mail domains: DMARC, TLS |
//! | [`policy`] | everything that an operator may choose |
//! | [`clock`], [`dice`] | time and randomness, passed in |
//!
//! Every decision, attempt and answer goes into the message's journey. Nothing here reads
//! configuration or opens a socket: the program gives a [`Policy`], a resolver and a [`Connect`].

pub mod accept;
pub mod clock;
pub mod dice;
mod examine;
pub mod keys;
pub mod learn;
pub mod outbound;
pub mod policy;
pub mod queue;
mod report;
pub mod reports;
pub mod route;
mod rules;
mod sign;

pub use accept::{Accepted, Acceptor, Entrance, Incoming, Refusal};
pub use clock::{Clock, SystemClock, VirtualClock};
pub use dice::Dice;
pub use examine::Client;
pub use examine::saved::{Examined, Saved, examine_saved};
pub use outbound::{BoxStream, ByteStream, Connect, Hosts, Secured, TlsFailure, TlsRules, Verify};
pub use policy::{Judging, Policy, Relay, Reporting};
pub use queue::{Courier, Runner, Schedule};
pub use rules::capabilities as sieve_capabilities;
pub use sign::Signers;
