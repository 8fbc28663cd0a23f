//! Who a message is really from: SPF, DKIM, DMARC and ARC; signing what leaves; and the reports
//! that domains send each other about it.
//!
//! Everything is a plain function over `&impl Resolve`, and every outcome says why: which term of
//! an SPF record matched, which part of a signature does not hold, and every question that was put
//! to the DNS. No socket, clock, randomness or database is touched (making a key draws its own
//! random octets); time is passed in.
//!
//! | module | what it holds |
//! |---|---|
//! | [`lookup`] | a resolver that writes down what it was asked |
//! | [`spf`] | may this client send for that domain? (RFC 7208) |
//! | [`dkim`] | does a domain vouch for this message? verifying and signing (RFC 6376) |
//! | [`dmarc`] | does that domain stand for the author in From? (RFC 9989) |
//! | [`arc`] | what the servers before us saw, sealed (RFC 8617) |
//! | [`results`] | Authentication-Results and Received-SPF (RFC 8601) |
//! | [`srs`] | reverse-paths of forwarded mail |
//! | [`key`] | key pairs for signing |
//! | [`policy`] | records and files about TLS: MTA-STS (RFC 8461), TLS-RPT (RFC 8460) |
//! | [`report`] | aggregate, failure and TLS reports, written and read |

pub mod arc;
pub mod dkim;
pub mod dmarc;
pub mod key;
pub mod lookup;
pub mod policy;
pub mod report;
pub mod results;
pub mod spf;
pub mod srs;
