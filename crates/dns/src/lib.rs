//! DNS for mail: the [`Resolve`] trait, the resolver behind it, an in-memory zone for tests, and a
//! small authoritative server.
//!
//! | module | what it holds |
//! |---|---|
//! | [`resolve`] | the trait: what may be asked and what an answer carries |
//! | [`record`] | record types and their data, and names in the one form used here |
//! | [`resolver`] | the caching stub resolver over hickory |
//! | [`NameServers`] | whom it asks; a `resolv.conf` is read again when it changes |
//! | [`zone`] | zones: records by name, and the text form they are read from |
//! | [`fake`] | [`FakeZone`]: a zone that answers in memory, fails on demand and keeps a log |
//! | [`answer`] | what an authoritative server says to one packet |
//! | [`server`] | the loop around it, over UDP and TCP |
//! | [`update`] | changing a zone at its primary server |
//!
//! Names are ASCII (A-labels), in lower case, without the final dot; the root is `.`. Not here: what
//! mail makes of an answer (MX order, null MX), which is routing, in `delivery`.

pub mod answer;
pub mod fake;
pub mod record;
pub mod resolve;
pub mod resolver;
pub mod server;
pub mod update;
mod upstream;
mod wire;
pub mod zone;

pub use fake::FakeZone;
pub use record::{Mx, RecordData, RecordType, Soa, Srv, Tlsa};
pub use resolve::{Alias, Answer, Dnssec, LookupError, Resolve, Temporary};
pub use resolver::{DnssecMode, Resolver, ResolverError, ResolverOptions};
pub use server::{AuthoritativeServer, SharedZones};
pub use update::{Change, ChangeZone, UpdateError, UpdateServer};
pub use upstream::NameServers;
pub use zone::{Zone, ZoneError, Zones};
