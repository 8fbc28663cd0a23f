//! The selected mailbox: which one, how, and what the client has been told of it.

pub mod keywords;
pub mod view;

use waxwing_store::{FlagMask, MailboxId, Rights, Uid, Watch};

use crate::access::{self, Act};
use crate::reply::Fail;

pub use view::{Picked, View};

/// A selected mailbox.
pub struct Selected {
    /// Which.
    pub mailbox: MailboxId,
    /// It is another's: rights may go while it is selected.
    pub shared: bool,
    /// EXAMINE: nothing is altered.
    pub examined: bool,
    /// What the account may do here.
    pub rights: Rights,
    /// What the client knows.
    pub view: View,
    /// `$` (RFC 5182): UID ranges.
    pub saved: Vec<(u32, u32)>,
    /// NOTIFY has told of the messages up to here.
    pub told: Uid,
    /// Wakes IDLE.
    pub watch: Watch,
}

impl Selected {
    /// Refuses what cannot be done here.
    pub fn need(&self, act: Act) -> Result<(), Fail> {
        if self.examined && act != Act::Read {
            return Err(Fail::no("", "The mailbox is selected read-only"));
        }
        access::need(self.rights, act)
    }

    /// The flags that can be altered here.
    pub fn alterable(&self) -> FlagMask {
        let rights = if self.examined { Rights::NONE } else { self.rights };
        access::alterable(rights)
    }
}
