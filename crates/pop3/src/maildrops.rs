//! What POP3 asks of the store, and nothing more, so that a session can be tested
//! against a store that fails at any of them.

use std::future::Future;
use std::pin::Pin;

use waxwing_sasl::ScramKeys;
use waxwing_store::{
    AccountId, Content, FlagChange, Flags, LoginError, MailboxId, MaildropLock, Pass, ScramAttempt,
    Store, StoreError, SystemFlags, Uid, Visitor,
};

/// Where maildrops are kept: the [`Store`].
pub trait Maildrops: Send + Sync + 'static {
    /// The exclusive-access lock of RFC 1939 §4. Dropping it releases it, soon.
    type Lock: Send + Sync;
    /// The octets of one message, to be read in pieces.
    type Content: Send + Sync;

    /// A SCRAM exchange that has begun.
    type Attempt: Send;

    /// Checks a password, which is prepared by SASLprep as far as that goes.
    fn login(
        &self,
        visitor: &Visitor,
        mechanism: &'static str,
        login: &str,
        password: &str,
    ) -> impl Future<Output = Result<Pass, LoginError>> + Send;

    /// Checks an access token, and that it is that login's if one is named.
    fn token(
        &self,
        visitor: &Visitor,
        mechanism: &'static str,
        login: Option<&str>,
        token: &str,
    ) -> impl Future<Output = Result<Pass, LoginError>> + Send;

    /// Keys for SCRAM; invented ones for an unknown login.
    fn scram(
        &self,
        visitor: &Visitor,
        mechanism: &'static str,
        login: &str,
    ) -> impl Future<Output = Result<(Self::Attempt, ScramKeys), LoginError>> + Send;

    /// A SCRAM exchange in which the proof fits that pair of the keys: does it let them in?
    fn settle_scram(
        &self,
        attempt: Self::Attempt,
        pair: usize,
    ) -> impl Future<Output = Result<Pass, LoginError>> + Send;

    /// One that ended without a right proof.
    fn refuse_scram(&self, attempt: Self::Attempt);

    /// Whether what a client was let in with still opens the door.
    fn holds(&self, pass: &Pass) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Waits until it does not.
    fn ended(&self, pass: Pass) -> Pin<Box<dyn Future<Output = ()> + Send>>;

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
    type Attempt = ScramAttempt;
    type Content = Content;

    async fn login(
        &self,
        visitor: &Visitor,
        mechanism: &'static str,
        login: &str,
        password: &str,
    ) -> Result<Pass, LoginError> {
        let admitted = Store::login(self, visitor, mechanism, login, password).await?;
        Ok(admitted.pass)
    }

    async fn token(
        &self,
        visitor: &Visitor,
        mechanism: &'static str,
        login: Option<&str>,
        token: &str,
    ) -> Result<Pass, LoginError> {
        Ok(self.login_with_token(visitor, mechanism, login, token).await?.pass)
    }

    async fn scram(
        &self,
        visitor: &Visitor,
        mechanism: &'static str,
        login: &str,
    ) -> Result<(ScramAttempt, ScramKeys), LoginError> {
        Store::scram(self, visitor, mechanism, login).await
    }

    async fn settle_scram(&self, attempt: ScramAttempt, pair: usize) -> Result<Pass, LoginError> {
        Ok(Store::settle_scram(self, attempt, pair).await?.pass)
    }

    fn refuse_scram(&self, attempt: ScramAttempt) {
        Store::refuse_scram(self, attempt);
    }

    async fn holds(&self, pass: &Pass) -> Result<bool, StoreError> {
        self.pass_holds(pass).await
    }

    fn ended(&self, pass: Pass) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.pass_ended(pass))
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
