//! The exclusive-access lock of a maildrop (RFC 1939 §4): one POP3 session per account over all nodes.

use std::time::Duration;

use jiff::Timestamp;

use crate::{AccountId, Store, StoreError};

/// Held until released, dropped, or run out.
pub struct MaildropLock {}

impl Store {
    /// `None` when another session has it. Renewed by the store in the background while held; a
    /// node that dies frees it after a minute.
    pub async fn lock_maildrop(
        &self,
        account: AccountId,
    ) -> Result<Option<MaildropLock>, StoreError> {
        todo!()
    }
}

impl MaildropLock {
    pub async fn release(self) -> Result<(), StoreError> {
        todo!()
    }
}
