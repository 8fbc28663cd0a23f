//! What POP3 asks of the store, and nothing more, so that a session can be tested
//! against a store that fails at any of them.

use std::future::Future;

use waxwing_sasl::ScramKeys;
use waxwing_store::{
    AccountId, Content, FlagChange, Flags, LoginError, MailboxId, MaildropLock, Store, StoreError,
    SystemFlags, Uid,
};

/// Where maildrops are kept: the [`Store`].
pub trait Maildrops: Send + Sync + 'static {
    /// The exclusive-access lock of RFC 1939 §4. Dropping it releases it, soon.
    type Lock: Send + Sync;
    /// The octets of one message, to be read in pieces.
    type Content: Send + Sync;

    /// Checks a password, which is prepared by SASLprep as far as that goes.
    fn login(
        &self,
        login: &str,
        password: &str,
    ) -> impl Future<Output = Result<AccountId, LoginError>> + Send;

    /// Whether an account is there and not disabled.
    fn is_enabled(
        &self,
        account: AccountId,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Keys for SCRAM; invented ones and no account for an unknown login.
    fn scram_keys(
        &self,
        login: &str,
    ) -> impl Future<Output = Result<(Option<AccountId>, ScramKeys), StoreError>> + Send;

    /// `None`: another session, on this node or another, has the maildrop.
    fn lock(
        &self,
        account: AccountId,
    ) -> impl Future<Output = Result<Option<Self::Lock>, StoreError>> + Send;

    /// Releases the lock; on return another session may have it.
    fn release(&self, lock: Self::Lock) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The INBOX as it stands now; what an IMAP client marked \Deleted is in it until expunged.
    fn listing(
        &self,
        account: AccountId,
    ) -> impl Future<Output = Result<Listing, StoreError>> + Send;

    /// `None`: the message was expunged meanwhile.
    fn content(
        &self,
        mailbox: MailboxId,
        uid: Uid,
    ) -> impl Future<Output = Result<Option<Self::Content>, StoreError>> + Send;

    /// The octets of `offset..offset + len`, cut at the end of the message.
    fn read(
        content: &Self::Content,
        offset: u64,
        len: u64,
    ) -> impl Future<Output = Result<Vec<u8>, StoreError>> + Send;

    /// Removes messages: the UPDATE state (RFC 1939 §6). Ones that are gone already are no error.
    fn expunge(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Gives messages \Seen, so that the account's other clients know what has been fetched.
    fn mark_seen(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// An INBOX at one moment.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The INBOX.
    pub mailbox: MailboxId,
    /// Its UIDVALIDITY: the first half of each unique-id.
    pub uid_validity: u32,
    /// In the order of their UIDs.
    pub messages: Vec<ListedMessage>,
}

/// One message of a [`Listing`].
#[derive(Debug, Clone, Copy)]
pub struct ListedMessage {
    /// Second half of the unique-id.
    pub uid: Uid,
    /// With CRLF line ends, without dot-stuffing.
    pub size_octets: u64,
    /// Whether it has \Seen already.
    pub seen: bool,
}

/// UIDs that go to the store in one transaction.
const UPDATE_SLICE: usize = 1000;

impl Maildrops for Store {
    type Lock = MaildropLock;
    type Content = Content;

    async fn login(&self, login: &str, password: &str) -> Result<AccountId, LoginError> {
        Store::login(self, login, password).await.map(|account| account.id)
    }

    async fn is_enabled(&self, account: AccountId) -> Result<bool, StoreError> {
        Ok(self.account(account).await?.is_some_and(|account| !account.disabled))
    }

    async fn scram_keys(&self, login: &str) -> Result<(Option<AccountId>, ScramKeys), StoreError> {
        Store::scram_keys(self, login).await
    }

    async fn lock(&self, account: AccountId) -> Result<Option<MaildropLock>, StoreError> {
        self.lock_maildrop(account).await
    }

    async fn release(&self, lock: MaildropLock) -> Result<(), StoreError> {
        lock.release().await
    }

    async fn listing(&self, account: AccountId) -> Result<Listing, StoreError> {
        let inbox = self
            .mailbox_by_name(account, "INBOX")
            .await?
            .ok_or_else(|| StoreError::Damaged("the account has no INBOX".to_owned()))?;
        let outlines = self.outlines(inbox.id).await?;
        let messages = outlines.into_iter().map(|outline| ListedMessage {
            uid: outline.uid,
            size_octets: outline.size_octets,
            seen: outline.system.contains(SystemFlags::SEEN),
        });
        Ok(Listing {
            mailbox: inbox.id,
            uid_validity: inbox.uid_validity,
            messages: messages.collect(),
        })
    }

    async fn content(&self, mailbox: MailboxId, uid: Uid) -> Result<Option<Content>, StoreError> {
        Store::content(self, mailbox, uid).await
    }

    async fn read(content: &Content, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        content.read(offset, len).await
    }

    async fn expunge(&self, mailbox: MailboxId, uids: &[Uid]) -> Result<(), StoreError> {
        for uids in uids.chunks(UPDATE_SLICE) {
            Store::expunge(self, mailbox, uids).await?;
        }
        Ok(())
    }

    async fn mark_seen(&self, mailbox: MailboxId, uids: &[Uid]) -> Result<(), StoreError> {
        for uids in uids.chunks(UPDATE_SLICE) {
            let flags = Flags { system: SystemFlags::SEEN, ..Flags::default() };
            self.store_flags(mailbox, uids, FlagChange::Add(flags), None).await?;
        }
        Ok(())
    }
}
