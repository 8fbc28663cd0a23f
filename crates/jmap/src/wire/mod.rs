//! JMAP as data: what is on the wire, read and written. Pure; nothing here knows a store's rows beyond
//! their ids.
//!
//! | file | RFC 8620 |
//! |---|---|
//! | `json` | §1.5: I-JSON, bounded |
//! | `id` | §1.2, and the letters of each kind of id |
//! | `blob_id` | ids of binary data |
//! | `date` | §1.4 |
//! | `request` | §3.2 to §3.4 |
//! | `reference` | §3.7: results of earlier methods as arguments |
//! | `patch` | §5.3: PatchObject |
//! | `filter` | §5.5: filters and comparators of any condition |
//! | `state` | §5.2: states, and states within a state |
//! | `error` | §3.6 and §5.3 |

pub mod blob_id;
pub mod date;
pub mod error;
pub mod filter;
pub mod id;
pub mod json;
pub mod patch;
pub mod reference;
pub mod request;
pub mod state;
