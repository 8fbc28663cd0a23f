//! The selected mailbox: which one, how, and what the client has been told of it.

pub mod keywords;
pub mod row;
pub mod view;

use waxwing_store::{MailboxId, Watch};

pub use view::{Picked, View};

/// A selected mailbox.
pub struct Selected {
    /// Which.
    pub mailbox: MailboxId,
    /// EXAMINE: nothing is altered.
    pub read_only: bool,
    /// What the client knows.
    pub view: View,
    /// `$` (RFC 5182): UID ranges.
    pub saved: Vec<(u32, u32)>,
    /// Wakes IDLE.
    pub watch: Watch,
}
