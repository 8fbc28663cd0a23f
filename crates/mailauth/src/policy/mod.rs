//! What a domain demands of TLS when mail is brought to it, as it stands in records and files.
//! Everything here turns octets into data and back, or decides; nothing is looked up.
//!
//! | module | what it holds |
//! |---|---|
//! | [`mta_sts`] | the `_mta-sts` record and the policy file (RFC 8461), read and written |
//! | [`tls_rpt`] | the `_smtp._tls` record (RFC 8460 §3), read and written |
//! | [`dane`] | whether a certificate chain fits TLSA records (RFC 6698, 7671, 7672) |
//! | `fields` | `v=NAME; key=value`, the shape of both records |
//!
//! Who asks, caches and enforces is in `delivery::outbound`.

pub mod dane;
mod fields;
pub mod mta_sts;
pub mod tls_rpt;

pub use fields::RecordError;
