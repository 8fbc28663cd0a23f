//! Full-text search. Words are cut in Rust, so that both engines give the same answers.

use crate::{MailboxId, Store, StoreError, Uid};

impl Store {
    /// UIDs of messages whose indexed text has all words of `text`, and, checked on the stored
    /// text, `text` itself as a substring without regard to case and accents as IMAP's BODY and TEXT ask.
    /// Messages not indexed yet are read directly, so that the answer is always complete.
    /// `headers_too`: IMAP's TEXT rather than BODY.
    pub async fn search_text(
        &self,
        mailbox: MailboxId,
        text: &str,
        headers_too: bool,
    ) -> Result<Vec<Uid>, StoreError> {
        todo!()
    }
    /// Indexes up to `limit` waiting messages; gives how many.
    pub async fn index_some(&self, limit: usize) -> Result<usize, StoreError> {
        todo!()
    }
}
