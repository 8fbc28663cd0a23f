//! Reports as mail: recognised when they come in, composed when they go out.
//!
//! | module | what it does |
//! |---|---|
//! | `recognise` | finds the report in a message |
//! | `compose` | makes a message of a report |

mod compose;
mod recognise;

use super::{AggregateReport, FailureReport, TlsReport};

pub use compose::{ComposeError, Outgoing, compose_aggregate, compose_failure, compose_tls};
pub use recognise::recognise;

/// A report that came by mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// What became of mail under our name.
    Aggregate(AggregateReport),
    /// How encryption towards us went.
    Tls(TlsReport),
    /// One message under our name that failed.
    Failure(FailureReport),
}
